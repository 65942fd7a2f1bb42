"""A small published gold lake, written with deltalake: two shops, two banks, three tiers, some dead letters."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from caudal.lake import Lake
from schemas.manifest import Group, Manifest, TableVersion, publish

SHOPS = ("casa-verde", "north-outfit")
BANKS = ("bank-a", "bank-b")
AT = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
MONEY = pa.decimal128(18, 2)
SCHEMAS: Mapping[str, pa.Schema] = {
    "fct_orders": pa.schema(
        [
            ("tenant_id", pa.string()), ("order_id", pa.string()), ("currency", pa.string()), ("total", MONEY),
            ("has_customer", pa.bool_()), ("ordered_date", pa.date32()), ("updated_at", pa.timestamp("us", "UTC")),
        ]
    ),
    "revenue_by_shop": pa.schema(
        [
            ("tenant_id", pa.string()), ("ordered_date", pa.date32()), ("currency", pa.string()),
            ("orders", pa.int64()), ("cancelled_orders", pa.int64()), ("orders_without_customer", pa.int64()),
            ("revenue", pa.decimal128(28, 2)),
        ]
    ),
    "fct_transactions": pa.schema(
        [("tenant_id", pa.string()), ("transaction_id", pa.string()), ("method", pa.string()), ("amount", MONEY)]
    ),
    "fct_fraud_decisions": pa.schema(
        [
            ("tenant_id", pa.string()), ("transaction_id", pa.string()), ("outcome", pa.string()), ("amount", MONEY),
            ("latency_ms", pa.float64()), ("reasons", pa.list_(pa.string())),
        ]
    ),
    "fct_product_events_daily": pa.schema([("tenant_id", pa.string()), ("tier", pa.string()), ("events", pa.int64())]),
    "dim_customers": pa.schema([("tenant_id", pa.string()), ("customer_ref", pa.string())]),
}  # fmt: skip


def rows(scale: int = 1) -> dict[str, list[dict[str, Any]]]:
    """Rows of every mart; `scale` multiplies their number. The second tenant of a kind has half of the first's."""
    orders = [
        {
            "tenant_id": shop,
            "order_id": f"{shop}-{number}",
            "currency": "BRL",
            "total": Decimal(number) + Decimal("0.10"),
            "has_customer": number % 3 > 0,
            "ordered_date": AT.date(),
            "updated_at": AT + dt.timedelta(minutes=number),
        }
        for part, shop in enumerate(SHOPS, 1)
        for number in range(20 * scale // part)
    ]
    payments = [
        {
            "tenant_id": bank,
            "transaction_id": f"{bank}-{number}",
            "method": ("pix", "card", "transfer")[number % 3],
            "amount": Decimal(number),
        }
        for part, bank in enumerate(BANKS, 1)
        for number in range(30 * scale // part)
    ]
    return {
        "fct_orders": orders,
        "revenue_by_shop": [
            {
                "tenant_id": shop,
                "ordered_date": AT.date(),
                "currency": "BRL",
                "orders": sum(o["tenant_id"] == shop for o in orders),
                "cancelled_orders": 1,
                "orders_without_customer": 2,
                "revenue": sum((o["total"] for o in orders if o["tenant_id"] == shop), Decimal(0)),
            }
            for shop in SHOPS
        ],
        "fct_transactions": payments,
        "fct_fraud_decisions": [
            {
                "tenant_id": p["tenant_id"],
                "transaction_id": p["transaction_id"],
                "outcome": ("approve", "approve", "review", "reject")[number % 4],
                "amount": p["amount"],
                "latency_ms": 5.0 + number % 7,
                "reasons": ["velocity"],
            }
            for number, p in enumerate(payments)
        ],
        "fct_product_events_daily": [
            {"tenant_id": f"t{number}", "tier": ("free", "pro", "enterprise")[number % 3], "events": 10 * scale}
            for number in range(9)
        ],
    }


def write(lake: Lake, layer: str, name: str, schema: pa.Schema, records: Sequence[Mapping[str, Any]]) -> TableVersion:
    """Overwrite a table and return the version that this made."""
    path = lake.table(layer, name)
    options = lake.storage_options or None
    rows = pa.Table.from_pylist([dict(r) for r in records], schema=schema)
    write_deltalake(path, rows, mode="overwrite", storage_options=options)
    table = DeltaTable(path, storage_options=options)
    return TableVersion(path, str(table.metadata().id), table.version(), len(records))


def publish_live(lake: Lake, scale: int = 1, *, changed: Mapping[str, list[dict[str, Any]]] | None = None) -> Manifest:
    """Publish the live group; `changed` replaces the rows of some marts."""
    found = {**rows(scale), **(changed or {})}
    tables = {name: write(lake, "gold", name, SCHEMAS[name], records) for name, records in found.items()}
    return publish(lake, "live", Group("live-1", int(time.time() * 1000), {}, tables))


def publish_full(lake: Lake) -> Manifest:
    """Publish the full group."""
    customers = [{"tenant_id": shop, "customer_ref": f"ref-{shop}"} for shop in SHOPS]
    tables = {"dim_customers": write(lake, "gold", "dim_customers", SCHEMAS["dim_customers"], customers)}
    return publish(lake, "full", Group("full-1", int(time.time() * 1000), {}, tables))


def dead_letters(lake: Lake, codes: Sequence[str], healed: int = 0, purged: int = 0) -> None:
    """Put dead letters into quarantine; the first `healed` of them were replayed since, the last `purged` purged."""
    place = [("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("_batch", pa.int64())]
    places = [{"topic": "shop.order", "partition": 0, "offset": n, "_batch": 1} for n in range(len(codes))]
    told = [
        ("contract", pa.string()), ("code", pa.string()), ("path", pa.string()), ("schema_id", pa.int32()),
        ("contract_version", pa.int32()), ("at", pa.timestamp("us", "UTC")),
    ]  # fmt: skip
    letters = [
        {**at, "contract": "shop.order", "code": code, "path": "total", "at": AT}
        for at, code in zip(places, codes, strict=True)
    ]
    marks = [{**at, "resolution": "replayed"} for at in places[:healed]]
    gone = [{**at, "first": at["offset"], "last": at["offset"]} for at in places[len(codes) - purged :]]
    for layer, name, records, columns in (
        ("quarantine", "dead_letters", letters, told),
        ("quarantine", "resolutions", marks, [("resolution", pa.string())]),
        ("ops", "purges", gone, [("first", pa.int64()), ("last", pa.int64())]),
    ):
        write_deltalake(
            lake.table(layer, name),
            pa.Table.from_pylist(records, pa.schema([*place, *columns])),
            mode="append",
            storage_options=lake.storage_options or None,
        )
