"""Replay of public data through the running platform: what its description says must be in silver and in gold.

The sets may not be copied into the project, so they are read where they lie, and the tests skip where they do not.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet
import pytest
import yaml

from caudal.lake import Lake
from caudal.query import Query
from producers.publish import Publisher
from producers.publish_prepare import Refused
from schemas.manifest import load_current
from tests.support.install import Install

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
OLIST = DATA / "olist-sample-8k" / "dev"
HANDBOOK = DATA / "fraud-handbook" / "transactions_raw_dev_2018-04_to_06.parquet"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.spark,
    pytest.mark.kafka,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (OLIST.is_dir() and HANDBOOK.is_file()), reason=f"the public data sets are not in {DATA}"),
]

SHOP, BANK = "olist", "handbook"
WEEK = (datetime(2018, 6, 1), datetime(2018, 6, 8))
CHUNK = 2000
LABEL_DELAY = timedelta(days=7)


def silver(install: Install, *tables: str) -> Query:
    """Silver tables under their own names."""
    opened = Query(Lake.open(install.settings))
    for name in tables:
        opened.table(name, "silver", name)
    return opened


def gold(install: Install, mart: str, columns: str, tenant: str) -> dict[str, Any]:
    """One row about a tenant's share of a mart, as readers see it now; empty before it is published."""
    lake = Lake.open(install.settings)
    manifest = load_current(lake)
    table = manifest.table(mart) if manifest else None
    if table is None:
        return {}
    opened = Query(lake)
    opened.at("mart", f"{lake.uri}/{table.path}", table.version)
    [row] = opened.rows(f"SELECT {columns} FROM mart WHERE tenant_id = '{tenant}'")
    return row


def read(name: str) -> Iterator[dict[str, str]]:
    """Rows of one of Olist's files."""
    with (OLIST / f"olist_{name}_dataset.csv").open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def orders() -> Iterator[dict[str, Any]]:
    """One row an order, with its lines, its buyer and the sum of its payments, which the set keeps in four files."""
    people = {row["customer_id"]: row for row in read("customers")}
    paid: dict[str, Decimal] = defaultdict(Decimal)
    for row in read("order_payments"):
        paid[row["order_id"]] += Decimal(row["payment_value"])
    items = defaultdict(list)
    for row in read("order_items"):
        items[row["order_id"]].append(row)
    for row in read("orders"):
        own, person = items[row["order_id"]], people[row["customer_id"]]
        moments = [row[name] for name in row if name.endswith(("_timestamp", "_at", "_carrier_date", "_customer_date"))]
        yield {
            "order": row["order_id"],
            "status": row["order_status"],
            "payment": "paid" if row["order_id"] in paid else None,
            "total": str(paid.get(row["order_id"], Decimal(0))),
            "price": str(sum(Decimal(item["price"]) for item in own)) if own else None,
            "freight": str(sum(Decimal(item["freight_value"]) for item in own)) if own else None,
            "count": len(own),
            "lines": [
                {
                    "line_id": item["order_item_id"],
                    "product_id": item["product_id"],
                    "quantity": 1,
                    "price": item["price"],
                }
                for item in own
            ],
            "buyer": person["customer_unique_id"],
            "city": person["customer_city"],
            "state": person["customer_state"],
            "bought": row["order_purchase_timestamp"],
            "changed": max(moments),
        }


def mapping(folder: Path) -> dict[str, Any]:
    """What the files connector is told about these rows."""
    time = {"type": "time", "zone": "America/Sao_Paulo"}
    money = {"type": "decimal"}
    return {
        "contract": "commerce.order",
        "from": str(folder),
        "files": "*.jsonl",
        "format": "jsonl",
        "name": SHOP,
        "tenant": SHOP,
        "observed": "updated_at",
        "fields": {
            "event_id": {"hash": ["order", "changed"]},
            "shop_id": {"value": SHOP},
            "order_id": "order",
            "financial_status": "payment",
            "fulfillment_status": "status",
            "currency": {"value": "BRL"},
            "total": {"from": "total", **money},
            "subtotal": {"from": "price", **money},
            "shipping": {"from": "freight", **money},
            "items_count": {"from": "count", "type": "int"},
            "line_items": "lines",
            "customer_id": "buyer",
            "shipping_city": "city",
            "shipping_region": "state",
            "created_at": {"from": "bought", **time},
            "updated_at": {"from": "changed", **time},
        },
    }


def test_olist_orders_are_in_silver(platform: Install, tmp_path: Path) -> None:
    """4,213 real orders pulled from files arrive once each, with the counts and sums that their README gives."""
    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "orders.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in orders())
    told = tmp_path / "mapping.yml"
    told.write_text(yaml.safe_dump(mapping(folder)), encoding="utf-8")
    pulled = subprocess.run(
        [sys.executable, "-m", "producers.files", str(told)],
        env={**os.environ, "CAUDAL_DATA_DIR": str(platform.data)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (pulled.returncode, pulled.stdout) == (0, "4213 of 4213 rows published; refused: none\n"), pulled.stderr

    def arrived() -> int:
        if not Lake.open(platform.settings).has_table("silver", "commerce_order"):
            return 0
        return int(silver(platform, "commerce_order").one("SELECT count(*) FROM commerce_order"))

    platform.until(lambda: arrived() >= 4213, "all orders in silver", timeout=240)
    opened = silver(platform, "commerce_order")
    [facts] = opened.rows(
        "SELECT count(*) AS orders, sum(total) AS paid, sum(subtotal) AS price, sum(shipping) AS freight, "
        "sum(items_count) AS items, count(DISTINCT subject_ref) AS people, "
        "sum(CASE WHEN items_count = 0 THEN total END) AS without_items, "
        "sum(CASE WHEN financial_status IS NULL THEN 1 ELSE 0 END) AS unpaid, "
        "sum(CASE WHEN financial_status = 'paid' AND items_count > 0 THEN 1 ELSE 0 END) AS both, "
        "sum(CASE WHEN financial_status = 'paid' AND abs(total - subtotal - shipping) > 0.01 THEN 1 ELSE 0 END) AS off "
        f"FROM commerce_order WHERE shop_id = '{SHOP}'"
    )
    assert facts == {
        "orders": 4213,
        "paid": Decimal("662347.76"),
        "price": Decimal("561560.54"),
        "freight": Decimal("91788.19"),
        "items": 4816,
        "people": 4196,
        "without_items": Decimal("9028.79"),
        "unpaid": 1,
        "both": 4169,
        "off": 15,
    }
    states = opened.rows("SELECT fulfillment_status AS s, count(*) AS n FROM commerce_order GROUP BY s")
    assert {row["s"]: row["n"] for row in states} == {
        "delivered": 4076,
        "shipped": 43,
        "unavailable": 37,
        "canceled": 24,
        "invoiced": 19,
        "processing": 14,
    }


def test_olist_orders_are_in_gold(platform: Install) -> None:
    """Published gold has the same orders and the same sum to the cent, by order and by shop and day."""
    expected = {"n": 4213, "paid": Decimal("662347.76")}
    columns = "count(*) AS n, sum(total) AS paid"
    platform.until(lambda: gold(platform, "fct_orders", columns, SHOP) == expected, "all orders in gold", timeout=240)
    assert gold(platform, "revenue_by_shop", "sum(orders) AS n, sum(total) AS paid", SHOP) == expected
    lines = {"n": 4_816, "price": Decimal("561560.54")}
    platform.until(
        lambda: gold(platform, "fct_order_items", "count(*) AS n, sum(amount) AS price", SHOP) == lines,
        "all lines in gold",
        timeout=240,
    )
    assert gold(platform, "revenue_hourly", "sum(orders) AS n, sum(total) AS paid", SHOP) == expected


@pytest.fixture(scope="module")
def payments() -> pa.Table:
    """The Handbook's first week of June; amounts as exact decimals, since the file stores them as floats."""
    table = parquet.read_table(HANDBOOK)
    times = table["TX_DATETIME"].cast(pa.timestamp("us"))
    first, last = (pa.scalar(moment, times.type) for moment in WEEK)
    table = table.drop_columns("TX_DATETIME").append_column("TX_DATETIME", times)
    week = table.filter(pc.and_(pc.greater_equal(times, first), pc.less(times, last)))
    amounts = [Decimal(f"{amount:.2f}") for amount in week["TX_AMOUNT"].to_pylist()]
    return week.drop_columns("TX_AMOUNT").append_column("TX_AMOUNT", pa.array(amounts, pa.decimal128(18, 2)))


def payment(row: dict[str, Any]) -> dict[str, Any]:
    """A transaction of the contract. The set names no person, so nothing is sealed."""
    return {
        "event_id": f"hb-{row['TRANSACTION_ID']}",
        "tenant_id": BANK,
        "transaction_id": str(row["TRANSACTION_ID"]),
        "account_id": str(row["CUSTOMER_ID"]),
        "merchant_id": f"t-{row['TERMINAL_ID']}",
        "amount": row["TX_AMOUNT"],
        "currency": "EUR",
        "method": "card",
        "occurred_at": row["TX_DATETIME"].replace(tzinfo=UTC),
    }


def label(row: dict[str, Any]) -> dict[str, Any]:
    """The chargeback that follows a fraud a week later."""
    paid = payment(row)
    return {
        "event_id": f"label-{paid['event_id']}",
        "tenant_id": BANK,
        "transaction_id": paid["transaction_id"],
        "transaction_event_id": paid["event_id"],
        "merchant_id": paid["merchant_id"],
        "is_fraud": True,
        "kind": "chargeback",
        "transaction_at": paid["occurred_at"],
        "labelled_at": paid["occurred_at"] + LABEL_DELAY,
    }


def test_handbook_payments_are_in_silver(platform: Install, payments: pa.Table) -> None:
    """A week of 66,972 payments and the labels of its frauds arrive once each, with the exact sum."""
    assert payments.num_rows == 66_972
    rows = payments.to_pylist()
    frauds = [row for row in rows if row["TX_FRAUD"]]
    with Publisher(platform.settings, source="handbook") as publisher:
        for contract, events, clock in (
            ("payments.transaction", [payment(row) for row in rows], "occurred_at"),
            ("fraud.label", [label(row) for row in frauds], "labelled_at"),
        ):
            for start in range(0, len(events), CHUNK):
                part = events[start : start + CHUNK]
                # A replay: the source saw each event when it happened.
                answers = publisher.publish_many(contract, part, observed_at=[event[clock] for event in part])
                assert not [answer for answer in answers if isinstance(answer, Refused)]
            publisher.flush(60)

    def arrived() -> tuple[int, int]:
        lake = Lake.open(platform.settings)
        if not (lake.has_table("silver", "payments_transaction") and lake.has_table("silver", "fraud_label")):
            return 0, 0
        opened = silver(platform, "payments_transaction", "fraud_label")
        return tuple(int(opened.one(f"SELECT count(*) FROM {t}")) for t in ("payments_transaction", "fraud_label"))

    platform.until(lambda: arrived() >= (len(rows), len(frauds)), "all payments in silver", timeout=300)
    opened = silver(platform, "payments_transaction", "fraud_label")
    [facts] = opened.rows(
        "SELECT count(*) AS n, sum(amount) AS total, count(DISTINCT account_id) AS customers, "
        "count(DISTINCT merchant_id) AS terminals, count(label) AS frauds, "
        "sum(CASE WHEN amount > 220 AND label IS NULL THEN 1 ELSE 0 END) AS large_and_honest, "
        "sum(CASE WHEN amount = 0 THEN 1 ELSE 0 END) AS free FROM payments_transaction t "
        "LEFT JOIN (SELECT transaction_event_id AS label FROM fraud_label WHERE is_fraud) l ON l.label = t.event_id "
        f"WHERE t.tenant_id = '{BANK}'"
    )
    assert facts == {
        "n": 66_972,
        "total": pc.sum(payments["TX_AMOUNT"]).as_py(),
        "customers": pc.count_distinct(payments["CUSTOMER_ID"]).as_py(),
        "terminals": pc.count_distinct(payments["TERMINAL_ID"]).as_py(),
        "frauds": pc.sum(payments["TX_FRAUD"]).as_py(),
        # Every payment over 220 is a fraud, says the README of the set.
        "large_and_honest": 0,
        "free": pc.sum(pc.equal(payments["TX_AMOUNT"], Decimal("0.00"))).as_py(),
    }


def test_handbook_payments_are_in_gold(platform: Install, payments: pa.Table) -> None:
    """Published gold has every payment once and the same sum to the cent."""
    expected = {"n": payments.num_rows, "total": pc.sum(payments["TX_AMOUNT"]).as_py()}
    columns = "count(*) AS n, sum(amount) AS total"
    platform.until(
        lambda: gold(platform, "fct_transactions", columns, BANK) == expected, "all payments in gold", timeout=240
    )


def test_the_replay_broke_nothing(platform: Install) -> None:
    """After it, and after a kill of streaming, conservation, masks, gold and idempotence are proved. The sets name
    nobody, so one person is sealed: without any, nothing would be looked for."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    person = {"customer_email": "ana.replay@example.com", "customer_name": "Ana Replay", "orders_count": 0}
    keys = {"event_id": "replay-1", "shop_id": SHOP, "customer_id": "replay-1", "created_at": now, "updated_at": now}
    with Publisher(platform.settings, source="tests") as publisher:
        [answer] = publisher.publish_many("commerce.customer", [{**keys, **person}], observed_at=[now])
        assert not isinstance(answer, Refused)
    silver_has = "SELECT count(*) FROM commerce_customer WHERE customer_id = 'replay-1'"
    platform.until(lambda: silver(platform, "commerce_customer").one(silver_has) == 1, "the person in silver")
    platform.until(lambda: load_current(Lake.open(platform.settings)) is not None, "published gold")
    pid = platform.kill("streaming")
    platform.until(lambda: platform.child("streaming")["pid"] != pid, "a new streaming process")
    platform.until(lambda: platform.ready("streaming"), "streaming ready")
    code, verdict = platform.verb("verify", *(f"--invariant={number}" for number in (1, 2, 3, 7)))
    assert [check for check in verdict["checks"] if not check["ok"]] == []
    assert code == 0
