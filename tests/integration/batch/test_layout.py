"""Marts of many tenants: few files a tenant, and what a plan shows.

`CAUDAL_TEST_TENANTS=100000` repeats the measure for as many tenants (some minutes); the figures are printed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from batch import cycle
from caudal.settings import Settings
from tests.support.batch_stack import BatchStack, open_stack
from tests.support.dbt_project import with_marts

pytestmark = [
    pytest.mark.spark,
    # dbt, Great Expectations and what they import use names that Python or pyspark have deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
ROOT = Path(__file__).resolve().parents[3]
TENANTS = int(os.environ.get("CAUDAL_TEST_TENANTS") or 2_000)
HANDFUL, CYCLES = 5, 4
RULES = """
id: product
source: product.event
tiers:
  free: {shows: [page]}
  pro: {shows: [page, feature]}
  enterprise: {shows: [page, feature]}
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("rules") / "product.yml"
    file.write_text(RULES, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def stack(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, rules: Path) -> Iterator[BatchStack]:
    folder = tmp_path_factory.mktemp("layout")
    project = with_marts(folder / "project", ("fct_product_events_daily", "fct_feature_usage_daily"))
    settings = Settings(data_dir=folder / "data", contracts_dir=ROOT / "schemas" / "contracts")
    # A small table has as many files as a large one when its files are small too.
    limit = "spark.databricks.delta.optimize.maxFileSize"
    before = spark.conf.get(limit, None)
    spark.conf.set(limit, str(TENANTS))
    with open_stack(spark, settings, project_dir=project, product_rules=rules, tenant_files=HANDFUL) as opened:
        yield opened
    spark.conf.unset(limit) if before is None else spark.conf.set(limit, before)


def test_a_tenants_query_reads_a_handful_of_files(stack: BatchStack) -> None:
    """However many cycles brought rows of all tenants, by Delta's own statistics, and the table has many files."""
    stack.silver("product.event").append([{**EVENT, "tenant_id": "t1"}])
    for number in range(CYCLES):
        everybody(stack, number)
        cycle.run(stack.loop.tools, stack.loop.work("full"))
    table = stack.manifest().tables["fct_feature_usage_daily"]
    opened = DeltaTable(f"{stack.lake.uri}/{table.path}", version=table.version)
    added = pa.table(opened.get_add_actions(flatten=True))
    bounds = list(zip(added["min.tenant_id"].to_pylist(), added["max.tenant_id"].to_pylist(), strict=True))
    sample = [f"org-{number:06}" for number in range(0, TENANTS, max(1, TENANTS // 500))]
    read = [sum(low <= tenant <= high for low, high in bounds) for tenant in sample]
    print(f"{TENANTS} tenants, {table.rows} rows, {len(bounds)} files, at most {max(read)} a tenant", file=sys.stderr)
    assert table.rows == TENANTS * CYCLES + 1
    assert len(bounds) >= 3 * HANDFUL
    assert max(read) <= HANDFUL


def test_a_changed_plan_holds_from_the_next_cycle(stack: BatchStack) -> None:
    """A tenant that moves up shows features from then on; its earlier ones stay as the plan was."""
    free = {**EVENT, "tenant_id": "t9", "tier": "free"}
    silver = stack.silver("product.event")
    silver.append([free, {**free, "event_type": "feature", "name": "export_csv"}])
    cycle.run(stack.loop.tools, stack.loop.work("live"))
    assert shown(stack) == [("free", "page", 1)]
    silver.append([{**free, "tier": "pro", "event_type": "feature", "name": "export_csv"}])
    cycle.run(stack.loop.tools, stack.loop.work("live"))
    assert shown(stack) == [("free", "page", 1), ("pro", "feature", 1)]


def test_changed_rules_hold_from_the_next_cycle(stack: BatchStack, rules: Path) -> None:
    """Without a restart or a new event, for what is there already; a broken file changes nothing and is told."""
    stack.loop.turn()
    assert stack.loop.turn() == ()
    rules.write_text(RULES.replace("free: {shows: [page]}", "free: {shows: [page, feature]}"), encoding="utf-8")
    assert [done.group for done in stack.loop.turn()] == ["live", "full"]
    assert shown(stack) == [("free", "feature", 1), ("free", "page", 1), ("pro", "feature", 1)]
    rules.write_text("tiers: 7", encoding="utf-8")
    assert stack.loop.turn() == ()
    assert "CDL-PRODUCT-RULES" in (stack.settings.run_dir / "alerts.jsonl").read_text(encoding="utf-8")


EVENT = {
    "tier": "pro", "event_type": "page", "name": "home", "session_id": "s", "subject_ref": "u",
    "occurred_at": "2026-03-01 10:00:00",
}  # fmt: skip


def everybody(stack: BatchStack, number: int) -> None:
    """One event of every tenant on the day of that number; written by Spark, as a list would be long."""
    silver = stack.silver("product.event")
    path = stack.lake.spark_table("silver", "product_event")
    version = DeltaTable(f"{stack.lake.uri}/silver/product_event").version() + 1
    stack.spark.range(TENANTS).selectExpr(
        f"concat('e{number}-', id) as event_id", "format_string('org-%06d', id) as tenant_id", "'pro' as tier",
        "'page' as event_type", "concat('page-', id % 7) as name", "concat('u', id) as subject_ref",
        "'s' as session_id", f"timestamp '2026-03-01 10:00:00' + make_interval(0, 0, 0, {number}) as occurred_at",
        f"bigint({version}) as _version", f"bigint({version}) as _batch", "current_timestamp() as _published_at",
    ).write.format("delta").mode("append").save(path)  # fmt: skip
    silver.version = version


def shown(stack: BatchStack) -> list[tuple[object, ...]]:
    """What the mart shows of the tenant that changed its plan."""
    rows = stack.published("fct_product_events_daily", ("tenant_id", "tier", "event_type", "events"))
    return [row[1:] for row in rows if row[0] == "t9"]
