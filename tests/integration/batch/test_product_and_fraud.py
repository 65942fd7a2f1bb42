"""Marts of product analytics, fraud and operations on real Spark, Delta, dbt and Great Expectations.

One story on one lake: a first cycle, an increment with late events and late labels, and a build from nothing.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from batch import cycle
from batch.errors import GateFailed
from batch.pins import OPERATIONS
from caudal.settings import Settings
from schemas.product import load
from tests.support import histories
from tests.support.batch_stack import BatchStack, open_stack
from tests.support.dbt_project import with_marts
from tests.support.hammer import hammering
from tests.support.histories import History

pytestmark = [
    pytest.mark.spark,
    # dbt, Great Expectations and what they import use names that Python or pyspark have deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ROOT = Path(__file__).resolve().parents[3]
SEED = int(os.environ.get("CAUDAL_TEST_SEED") or random.randrange(1_000_000))
MARTS = (
    "fct_feature_usage_daily", "fct_user_activity_daily", "product_active_users_daily", "product_retention_weekly",
    "product_funnels_daily", "product_quota_usage_monthly", "fct_fraud_outcomes", "fraud_performance_daily",
    "fraud_decisions_daily", "fraud_feature_bins_daily", "fraud_feature_drift_daily", "ops_rows_monthly",
    "ops_freshness", "ops_volumes_daily", "ops_dead_letters_daily", "ops_quality_results", "ops_costs_monthly",
)  # fmt: skip
MARCH = datetime(2026, 3, 10, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def stack(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchStack]:
    folder = tmp_path_factory.mktemp("marts")
    # The marts of payments and orders have tests of their own; what these read of theirs is published elsewhere.
    project = with_marts(folder / "project", MARTS)
    settings = Settings(data_dir=folder / "data", contracts_dir=ROOT / "schemas" / "contracts")
    with open_stack(spark, settings, project_dir=project) as opened:
        yield opened


@pytest.fixture(scope="module")
def past() -> History:
    print(f"seed {SEED}", file=sys.stderr)
    return histories.history(SEED)


def arrive(stack: BatchStack, past: History, number: int) -> None:
    """One part of the history reaches silver."""
    for contract in past.rows:
        stack.silver(contract).append(past.part(contract, number))


def operations(stack: BatchStack, name: str, rows: list[dict[str, Any]]) -> None:
    """Streaming writes lines about its own work."""
    [table] = [one for one in OPERATIONS if one.name == name]
    ddl = ", ".join(f"`{column.name}` {column.spark_type}" for column in table.columns)
    filled = [tuple(row.get(column.name) for column in table.columns) for row in rows]
    path = stack.lake.spark_table(table.layer, table.folder)
    stack.spark.createDataFrame(filled, ddl).write.format("delta").mode("append").save(path)


def test_the_first_cycle_says_what_the_rows_say(stack: BatchStack, past: History) -> None:
    """Every figure is that of a reading of the rows in plain Python, and the gate has passed on all of it."""
    arrive(stack, past, 0)
    line = {"contract": "product.event", "committed_at": MARCH, "read": 200, "applied": 198, "dead_letter": 2}
    rest = dict.fromkeys(("duplicate", "superseded", "parked", "late", "suppressed"), 0)
    operations(stack, "ops_ledger", [{**line, **rest}])
    place = {"topic": "product.event", "partition": 0, "_batch": 1}
    letter = {**place, "contract": "product.event", "code": "CDL-NULL", "path": None, "at": MARCH}
    operations(stack, "quarantine_dead_letters", [{**letter, "offset": 1}, {**letter, "offset": 2}])
    operations(stack, "quarantine_resolutions", [{**place, "offset": 1, "resolution": "replayed"}])

    cycle.run(stack.loop.tools, stack.loop.work("full"))
    assert set(MARTS) == set(stack.manifest().tables)
    as_read(stack, {contract: past.part(contract, 0) for contract in past.rows})


def test_an_increment_with_late_events_and_labels_says_it_too(stack: BatchStack, past: History) -> None:
    """Rows of days long past arrive, labels of decisions long made, and decisions without their payment get it."""
    arrive(stack, past, 1)
    cycle.run(stack.loop.tools, stack.loop.work("full"))
    as_read(stack, past.rows)


def test_a_build_from_nothing_equals_the_increments(stack: BatchStack) -> None:
    """To the row and column, in every mart, and then by the next cycle nobody can tell that there was one."""
    incremental = stack.everything()
    work = stack.loop.work("full")
    stack.loop.tools.transform.build(work.own, full_refresh=True)
    columns = {mart.name: tuple(mart.columns) for mart in work.marts}
    anew = {mart: heads(stack, mart, columns[mart]) for mart in incremental}
    assert set(anew) == set(MARTS) - {"ops_quality_results"}
    assert incremental == anew


def test_operators_see_volumes_letters_verdicts_and_costs(stack: BatchStack) -> None:
    """What streaming wrote about its work, what the gate found, and the price of it."""
    volumes = ("contract", "committed_date", "read", "applied", "dead_letter")
    assert [("product.event", date(2026, 3, 10), 200, 198, 2)] == stack.published("ops_volumes_daily", volumes)
    letters = ("code", "path", "letters", "healed", "purged", "open")
    assert stack.published("ops_dead_letters_daily", letters) == [("CDL-NULL", "", 2, 1, 0, 1)]
    verdicts = stack.published("ops_quality_results", ("group_name", "table_name", "code", "is_ok"))
    assert ("full", "fraud_performance_daily", "COLUMNS", True) in verdicts
    fresh = {row[0]: row[1:] for row in stack.published("ops_freshness", ("contract", "rows", "promised_s", "bytes"))}
    assert fresh["product.event"][:2] == (260, 60)
    assert fresh["commerce.order"] == (0, 60, 0)
    costs = stack.published("ops_costs_monthly", ("contract", "tenant_id", "rows", "bytes", "processing_cost"))
    mine = [row for row in costs if row[0] == "product.event"]
    assert {"", "t1", "t2"} == {tenant for _, tenant, *_ in mine}
    assert abs(sum(row[3] for row in mine) - fresh["product.event"][2]) < 1
    # 200 records of a month of which silver holds no row, at 0.50 a million.
    assert D("0.000100") == sum(cost for *_, cost in mine)


def test_readers_see_only_what_passed_while_the_full_group_fails(stack: BatchStack, past: History) -> None:
    """A score below nothing stops the publish: who reads all the while never meets a row of that cycle."""
    before = stack.everything()
    decision = past.part("fraud.decision", 1)[-1]
    stack.silver("fraud.decision").append([{**decision, "event_id": "bad", "score": -1.0}])
    with hammering(stack.settings, "full") as seen, pytest.raises(GateFailed):
        cycle.run(stack.loop.tools, stack.loop.work("full"))

    seen.check(stack.lake)
    assert before == stack.everything()


def test_plans_stay_cheap_as_tables_grow(stack: BatchStack) -> None:
    """No mart pairs every row with every other, and none sorts both sides of a join with something small."""
    for mart in MARTS:
        stack.loop.tools.catalogue.attach(mart)
    plans = {mart: plan(stack, sql) for mart, sql in stack.loop.tools.transform.compiled(MARTS).items()}
    assert set(plans) == set(MARTS)
    found = {
        operator: {mart for mart, text in plans.items() if operator in text}
        for operator in ("CartesianProduct", "BroadcastNestedLoopJoin", "SortMergeJoin", "BroadcastHashJoin")
    }
    assert found["CartesianProduct"] == found["BroadcastNestedLoopJoin"] == set()
    # A full outer join of two sums a month; Spark broadcasts neither side of such a one.
    assert found["SortMergeJoin"] == {"ops_costs_monthly"}
    assert found["BroadcastHashJoin"] >= {
        "fct_fraud_outcomes",
        "fraud_performance_daily",
        "product_quota_usage_monthly",
    }


def plan(stack: BatchStack, sql: str) -> str:
    [row] = stack.spark.sql(f"explain formatted {sql}").collect()
    return str(row[0])


def test_the_marts_unit_tests_pass(stack: BatchStack) -> None:
    """Every mart with logic has unit tests beside it."""
    nodes = stack.loop.tools.transform.test("test_type:unit")
    assert len(nodes) >= 18
    assert [node.name for node in nodes if node.status != "pass"] == []


def heads(stack: BatchStack, mart: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """A mart as it lies there, published or not, in the form of `published`."""
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder

    listed = ", ".join(f'"{column}"' for column in columns)
    query = QueryBuilder().register("mart", DeltaTable(f"{stack.lake.uri}/gold/{mart}"))
    rows = query.execute(f"select {listed} from mart order by {listed}").read_all()
    return [tuple(row.values()) for row in pyarrow.table(rows).to_pylist()]


def as_read(stack: BatchStack, rows: dict[str, Any]) -> None:
    """The published marts say what plain Python finds in the rows."""
    rules, events = load(), rows["product.event"]
    usage = ("tenant_id", "event_date", "tier", "event_type", "name", "events", "users")
    assert histories.feature_usage(events, rules) == stack.published("fct_feature_usage_daily", usage)
    users = ("tenant_id", "event_date", "daily_users", "weekly_users", "monthly_users")
    assert histories.active_users(events) == stack.published("product_active_users_daily", users)
    steps = ("tenant_id", "funnel", "entered_date", "step", "users")
    assert histories.funnels(events, rules) == stack.published("product_funnels_daily", steps)
    right = (
        "tenant_id", "decided_date", "model_version", "decisions", "labelled", "frauds", "caught", "false_alarms",
        "amount_saved",
    )  # fmt: skip
    assert histories.performance(rows) == stack.published("fraud_performance_daily", right)
