"""The batch loop on real Spark, Delta, dbt and Great Expectations.

The tests share one lake and tell one story in order, because a cycle is what costs time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal as D
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from batch import cycle, record
from batch.verify import checks
from caudal.settings import Settings
from quality import results
from tests.support.batch_stack import BatchStack, open_stack
from tests.support.dbt_project import with_marts
from tests.support.hammer import hammering
from tests.support.silver_play import Play

pytestmark = [
    pytest.mark.spark,
    # dbt, Great Expectations and what they import use names that Python or pyspark have deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ROOT = Path(__file__).resolve().parents[3]

DAY_1, DAY_2 = "2026-03-01 10:00:00", "2026-03-02 10:00:00"
ORDER = {
    "shop_id": "s1",
    "currency": "BRL",
    "items_count": 2,
    "subject_ref": "c1",
    "created_at": DAY_1,
    "updated_at": DAY_1,
}
PAYMENT = {
    "tenant_id": "b1",
    "currency": "BRL",
    "method": "pix",
    "account_id": "a1",
    "merchant_id": "m1",
    "occurred_at": DAY_1,
}
PAGE = {"tenant_id": "t1", "tier": "pro", "event_type": "page", "name": "home", "session_id": "x", "occurred_at": DAY_1}
DECISION = {
    "tenant_id": "b1", "transaction_id": "p1", "transaction_event_id": "e1", "outcome": "approve", "score": 0.1,
    "amount": D("3.50"), "model_version": "m1", "decided_for": DAY_1, "decided_at": DAY_1,
}  # fmt: skip
ACCOUNT = {
    "tenant_id": "b1", "balance": D("5.00"), "status": "open", "opened_at": DAY_1, "updated_at": DAY_1, "_op": "c",
}  # fmt: skip
REFUND = {"shop_id": "s1", "order_id": "1", "currency": "BRL", "created_at": DAY_2}
MARTS = (
    "account_balances_daily", "account_velocity_daily", "cohort_retention", "dim_accounts", "dim_accounts_history",
    "dim_customers", "dim_products", "dim_shops", "fct_account_changes", "fct_fraud_decisions", "fct_order_items",
    "fct_orders", "fct_product_events_daily", "fct_refunds", "fct_transactions", "payments_daily", "refund_rates",
    "regulatory_monthly", "revenue_by_shop", "revenue_hourly",
)  # fmt: skip
CUSTOMER = {"shop_id": "s1", "orders_count": 0, "created_at": DAY_1, "updated_at": DAY_1}


@pytest.fixture(scope="module")
def stack(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchStack]:
    folder = tmp_path_factory.mktemp("batch")
    # Marts of product, fraud and operations that no page shows live have tests of their own.
    project = with_marts(folder / "project", MARTS)
    settings = Settings(data_dir=folder / "data", contracts_dir=ROOT / "schemas" / "contracts")
    with open_stack(spark, settings, project_dir=project) as opened:
        yield opened


@pytest.fixture(scope="module")
def play(stack: BatchStack) -> Play:
    """Rows by chance, of other tenants than the literal ones."""
    return Play(stack, seed=5)


def test_the_first_cycle_publishes_all_marts(stack: BatchStack, play: Play) -> None:
    """Literal silver gives exactly the expected gold, in both groups at once, without the tables that do not exist."""
    play.turn()
    stack.silver("commerce.order").upsert(
        [
            {**ORDER, "order_id": "1", "total": D("10.00")},
            {**ORDER, "order_id": "2", "total": D("5.50"), "cancelled_at": DAY_2},
            {**ORDER, "order_id": "3", "total": D("7.00"), "subject_ref": None},
            {**ORDER, "order_id": "4", "total": D("1.00"), "created_at": DAY_2},
        ]
    )
    stack.silver("payments.transaction").append([{**PAYMENT, "transaction_id": "p1", "amount": D("3.50")}])
    stack.silver("product.event").append([PAGE, {**PAGE, "subject_ref": "u1"}])
    stack.silver("fraud.decision").append([DECISION])
    stack.silver("payments.account").upsert([{**ACCOUNT, "account_id": "a1"}, {**ACCOUNT, "account_id": "a2"}])
    stack.silver("commerce.customer").upsert([{**CUSTOMER, "customer_id": "k1", "subject_ref": "c1"}])

    assert [done.group for done in stack.loop.turn()] == ["live", "full"]

    columns = ("tenant_id", "ordered_date", "orders", "cancelled_orders", "orders_without_customer", "total", "revenue")
    assert [
        ("s1", date(2026, 3, 1), 3, 1, 1, D("22.50"), D("17.00")),
        ("s1", date(2026, 3, 2), 1, 0, 0, D("1.00"), D("1.00")),
    ] == stack.published("revenue_by_shop", columns, "s1")
    assert [("b1", D("3.50"), "pix")] == stack.published("fct_transactions", ("tenant_id", "amount", "method"), "b1")
    assert stack.published("fct_product_events_daily", ("tenant_id", "tier", "events", "users", "sessions")) == [
        ("t1", "pro", 2, 1, 1)
    ]
    assert stack.published("fct_fraud_decisions", ("outcome", "score")) == [("approve", 0.1)]
    assert stack.published("dim_accounts", ("account_id",), "b1") == [("a1",), ("a2",)]
    assert [("k1", 3, D("11.00"), "returning")] == stack.published(
        "dim_customers", ("customer_id", "orders_count", "lifetime_value", "segment"), "s1"
    )
    assert [("s1", 4, 1, 0.25, D("18.00"))] == stack.published(
        "dim_shops", ("shop_id", "orders_count", "cancelled_orders", "without_customer_share", "revenue"), "s1"
    )
    assert [(date(2026, 3, 1), 1, D("3.50"))] == stack.published(
        "payments_daily", ("occurred_date", "transactions", "amount"), "b1"
    )
    assert stack.published("fct_refunds", ("refund_id",), "s1") == []


def test_nothing_runs_while_silver_stands_still(stack: BatchStack) -> None:
    """A turn without news publishes nothing."""
    before = stack.manifest().number
    assert stack.loop.turn() == ()
    assert before == stack.manifest().number


def test_increments_equal_a_full_refresh(stack: BatchStack, play: Play) -> None:
    """Updates, deletes, moved days, late events and new tables give the gold that a rebuild from silver gives.

    Literal rows say what it is; rows by chance, in increments, that a rebuild gives the same of all marts.
    """
    play.turn()
    stack.silver("commerce.order").upsert(
        [
            {**ORDER, "order_id": "1", "total": D("12.00"), "updated_at": DAY_2},
            {**ORDER, "order_id": "3", "total": D("7.00"), "created_at": DAY_2, "subject_ref": "c1"},
            {**ORDER, "order_id": "4", "total": D("1.00"), "created_at": DAY_2, "_deleted_at": DAY_2},
            {**ORDER, "order_id": "5", "total": D("2.00"), "currency": "USD"},
        ]
    )
    stack.silver("payments.transaction").append(
        [{**PAYMENT, "transaction_id": "p2", "amount": D("1.25"), "occurred_at": "2026-02-01 00:00:00", "_late": True}]
    )
    stack.silver("product.event").append([{**PAGE, "subject_ref": "u2", "session_id": "y", "_late": True}])
    stack.silver("payments.account").upsert(
        [
            {**ACCOUNT, "account_id": "a1", "balance": D("9.00"), "credit_limit": D("1.00")},
            {**ACCOUNT, "account_id": "a2", "_deleted_at": DAY_2},
        ]
    )
    stack.silver("commerce.refund").append(
        [
            {
                "shop_id": "s1",
                "refund_id": "r1",
                "order_id": "1",
                "amount": D("4.00"),
                "currency": "BRL",
                "created_at": DAY_2,
            }
        ]
    )
    assert [done.group for done in stack.loop.turn()] == ["live", "full"]
    incremental = stack.everything()
    assert [mart for mart, rows in incremental.items() if not rows] == []
    assert [
        (date(2026, 3, 1), "BRL", 2, D("17.50")),
        (date(2026, 3, 1), "USD", 1, D("2.00")),
        (date(2026, 3, 2), "BRL", 1, D("7.00")),
    ] == stack.published("revenue_by_shop", ("ordered_date", "currency", "orders", "total"), "s1")
    assert [("a1", D("10.00"))] == stack.published("dim_accounts", ("account_id", "available"), "b1")
    assert [("r1", D("4.00"))] == stack.published("fct_refunds", ("refund_id", "amount"), "s1")
    assert [(date(2026, 3, 1), "BRL", 1, D("4.00"), 0.5)] == stack.published(
        "refund_rates", ("ordered_date", "currency", "refunded_orders", "refunded", "refunded_orders_share"), "s1"
    )[:1]

    # The live group may have its turn between two slices of the full one.
    published: list[str] = []

    def live_once() -> bool:
        if not published:
            published.append(cycle.run(stack.loop.tools, stack.loop.work("live", rebuild=True)).cycle)
            assert published == [stack.manifest().groups["live"].cycle]
            return True
        return False

    anew = cycle.run(stack.loop.tools, stack.loop.work("full", rebuild=True), live_once)
    assert {group.cycle for group in stack.manifest().groups.values()} == {anew.cycle, *published}
    assert incremental == stack.everything()


def test_a_deploy_makes_anew_what_it_changed(stack: BatchStack) -> None:
    """A changed mart and what is made of it, and no other; readers have the old ones until the group has passed."""
    before, project = stack.everything(), Path(stack.pace["project_dir"])
    model = project / "models" / "marts" / "revenue_hourly.sql"
    model.write_text(model.read_text(encoding="utf-8") + "\n-- counted in another way\n", encoding="utf-8")
    stack.restart()
    with hammering(stack.settings, "full") as seen:
        [done] = stack.loop.turn()

    seen.check(stack.lake)
    assert (done.group, set(done.mart_seconds)) == ("full", {"revenue_hourly", "dim_shops"})
    assert before == stack.everything()
    assert stack.loop.turn() == ()


def test_the_published_versions_are_proved(stack: BatchStack) -> None:
    """Every published table has a record and results of a passed gate."""
    [check] = checks(stack.settings)
    assert (check.ok, check.examined, check.findings) == (True, len(stack.manifest().tables), ())


def test_what_a_killed_cycle_left_is_undone_before_the_next(stack: BatchStack) -> None:
    """Half a cycle's rows never reach gold: the tables are restored, and what is served stays proved."""
    before = stack.everything()
    live = stack.manifest().groups["live"]
    path = stack.lake.spark_table("gold", "fct_transactions")
    stack.spark.sql(f"insert into delta.`{path}` select * from delta.`{path}`")
    left = record.Record(cycle="20260301T000000000-live", group="live", state="open", started_ms=0)
    record.save(stack.lake, left)
    assert before == stack.everything()

    stack.silver("product.event").append([{**PAGE, "subject_ref": "u3"}])
    # A new process: its catalogue is empty, and it merges into what is published all the same. From here on the full
    # group rests: what follows is the same for both, and the full one has the most marts.
    stack.restart(full_after_s=3600.0, full_every=1000)
    with hammering(stack.settings, "live") as seen:
        stack.loop.turn()

    seen.check(stack.lake)
    # Only what reads the moved table was built.
    assert live.tables["fct_orders"] == stack.manifest().tables["fct_orders"]
    assert live.tables["fct_product_events_daily"] != stack.manifest().tables["fct_product_events_daily"]
    assert before["fct_transactions"] == stack.everything()["fct_transactions"]
    assert live.cycle != stack.manifest().groups["live"].cycle
    assert record.load_open(stack.lake, "live") is None
    assert checks(stack.settings)[0].ok


def test_a_cycle_that_died_before_its_publish_is_published(stack: BatchStack) -> None:
    """The gate has passed and the tables are as gated: the next start only finishes the work."""
    stack.silver("product.event").append([{**PAGE, "event_type": "feature"}])
    cycle.build(stack.loop.tools, stack.loop.work("live"))
    kinds = ("event_type", "events")
    assert ("feature", 1) not in stack.published("fct_product_events_daily", kinds)
    from batch.restore import settle

    settle(stack.loop.tools, "live", stack.loop.work("live").own)
    assert ("feature", 1) in stack.published("fct_product_events_daily", kinds)
    assert checks(stack.settings)[0].ok


def test_a_failed_gate_publishes_nothing(stack: BatchStack) -> None:
    """Readers keep the last good gold, the tables are taken back, evidence and an alarm stay, and recovery is alone."""
    before = stack.everything()
    stack.silver("payments.transaction").append([{**PAYMENT, "transaction_id": "bad", "amount": D("-1.00")}])
    with hammering(stack.settings, "live") as seen:
        stack.loop.turn()

    seen.check(stack.lake)
    assert before == stack.everything()
    evidence = results.latest(stack.lake, "live")
    assert evidence is not None
    failing = {(r["layer"], r["table"], r["code"], r["failing"]) for r in evidence["results"] if not r["ok"]}
    assert ("gold", "fct_transactions", "AT_LEAST:amount", 1) in failing
    assert ("silver", "payments_transaction", "RULE:AMOUNT", 1) in failing
    assert "-1.00" not in json.dumps(evidence)
    named = {(one["layer"], one["code"]): one["rows"] for one in results.evidence(stack.lake, evidence["cycle"])}
    [coordinates] = named["silver", "RULE:AMOUNT"]
    assert set(coordinates) == {"_topic", "_partition", "_offset"}
    assert [set(row) for row in named["gold", "AT_LEAST:amount"]] == [{"tenant_id", "event_id", "occurred_at"}]
    assert "-1.00" not in json.dumps(list(named.values()))
    alarms = (stack.settings.run_dir / "alerts.jsonl").read_text(encoding="utf-8")
    assert "CDL-GATE" in alarms
    assert checks(stack.settings)[0].ok

    path = stack.lake.spark_table("silver", "payments_transaction")
    stack.spark.sql(f"delete from delta.`{path}` where transaction_id = 'bad'")
    done = cycle.run(stack.loop.tools, stack.loop.work("live"))
    assert done.state == "published"
    assert before["fct_transactions"] == stack.everything()["fct_transactions"]


def test_a_new_contract_gets_source_staging_and_checks_at_once(stack: BatchStack) -> None:
    """A ninth contract needs no restart, and marts go on."""
    ninth = replace(stack.catalog["commerce.refund"], id="commerce.voucher")
    assert stack.loop.learn([ninth])
    assert stack.spark.catalog.tableExists("staging.stg_commerce_voucher")
    assert "silver.commerce_voucher" in stack.loop.work("live").suites
    assert not stack.loop.learn([ninth])


def test_dbts_own_unit_tests_pass(stack: BatchStack) -> None:
    """Every mart with logic has unit tests beside it."""
    # Those of an increment need its mart, and the full group has had no cycle since the restart.
    for mart in stack.manifest().tables:
        stack.loop.tools.catalogue.attach(mart)
    nodes = stack.loop.tools.transform.test("test_type:unit")
    assert len(nodes) >= 30
    assert [node.name for node in nodes if node.status != "pass"] == []
