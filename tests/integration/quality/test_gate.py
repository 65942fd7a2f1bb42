"""The gate on real Spark and Great Expectations: one pass of a table, exact numbers, rows named and not shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from caudal.lake import LocalLake
from quality import results
from quality.compile_mart import for_mart
from quality.gate import Gate
from quality.marts import Mart
from quality.marts import Test as Declared
from quality.steady import ENOUGH, Steady, remember

pytestmark = [
    pytest.mark.spark,
    # Great Expectations and what it imports use names that Python or pyspark have deprecated.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]
COLUMNS = {"tenant_id": "string", "order_id": "string", "total": "decimal(18,2)", "at": "timestamp"}
FEW = {"min_rows": 3}
DECLARED = (
    Declared("unique_together", "", {"columns": ["tenant_id", "order_id"]}),
    Declared("not_null", "tenant_id", {}),
    Declared("between", "total", {"min_value": 0, "max_value": 100}),
    # Braces, as masks have them too.
    Declared("expression_is_true", "", {"name": "SHAPE", "expression": "tenant_id rlike '^s[1-8]{1}$'"}),
    Declared("not_null", "total", {"share": 0.5}, "warning"),
    Declared(
        "measure_between",
        "",
        {**FEW, "name": "p50", "measure": "percentile_approx(total, 0.5)", "max_value": 90},
        "warning",
    ),
    Declared("measure_steady", "", {**FEW, "name": "mean", "measure": "avg(total)"}, "warning"),
    Declared("fresh", "at", {"within_s": 60}, "warning"),
    Declared("relationships", "tenant_id", {"to": "ref('shops')", "field": "tenant_id"}, "warning"),
)
MART = Mart("orders", "live", "", COLUMNS, DECLARED)
GOOD = [("s1", "1", "10.00"), ("s1", "2", "20.00"), ("s2", "1", None)]


@pytest.fixture(scope="module")
def shops(spark: SparkSession) -> Any:
    """The mart that a relationship looks into."""
    spark.sql("create schema if not exists gold")
    spark.sql("create or replace view gold.shops as select * from values ('s1'), ('s2') as shops(tenant_id)")
    yield
    spark.sql("drop schema gold cascade")


def frame(spark: SparkSession, rows: list[tuple[Any, ...]]) -> Any:
    """Rows as the mart has them, an hour old."""
    ddl = "tenant_id string, order_id string, total string"
    casts = ("tenant_id", "order_id", "cast(total as decimal(18,2)) as total", "now() - interval 1 hour as at")
    return spark.createDataFrame(rows, ddl).selectExpr(*casts)


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that a frame was evaluated, by how."""
    from pyspark.sql.classic.dataframe import DataFrame

    asked: list[str] = []

    def listened(name: str) -> Any:
        real = getattr(DataFrame, name)
        return lambda frame, *given, **named: (asked.append(name), real(frame, *given, **named))[1]

    for name in ("collect", "count", "toPandas", "toLocalIterator"):
        monkeypatch.setattr(DataFrame, name, listened(name))
    return asked


def test_all_checks_of_a_table_cost_one_query(
    spark: SparkSession, shops: None, tmp_path: Path, queries: list[str]
) -> None:
    """Good rows pass with their numbers; late data only warns; and the frame is read once."""
    suite = for_mart(MART, {"orders": "live", "shops": "live"})
    gate = Gate(Steady(LocalLake(str(tmp_path))))
    rows = frame(spark, GOOD)
    found = {one.code: one for one in gate.run(suite, rows, 3)}
    assert queries == ["collect"]
    assert {code for code, one in found.items() if not one.ok} == {"FRESH:at"}
    assert results.passed(found.values())
    assert found["MEASURE:p50"].observed == 10.0
    assert found["STEADY:mean"].observed == 15.0
    assert found["NOT_NULL:total"].observed == pytest.approx(2 / 3)
    assert found["UNIQUE:tenant_id+order_id"].failing == 0
    assert 3590 < (found["FRESH:at"].observed or 0) < 7200


def test_an_empty_table_passes(spark: SparkSession, shops: None) -> None:
    """A mart without rows breaks nothing: its measures say nothing."""
    suite = for_mart(MART, {"orders": "live", "shops": "live"})
    assert all(one.ok for one in Gate().run(suite, frame(spark, []), 0))


def test_a_failure_is_counted_and_its_rows_are_named(spark: SparkSession, shops: None, tmp_path: Path) -> None:
    """Counts are exact, evidence holds ids and no value, and a measure that left its own past is seen."""
    lake = LocalLake(str(tmp_path))
    remember(lake, [("gold.orders:STEADY:mean", 15.0 + n % 3) for n in range(ENOUGH)])
    suite = for_mart(MART, {"orders": "live", "shops": "live"})
    bad = [*GOOD, ("s2", "1", "777.77"), ("s9", "5", "-888.88"), (None, "6", "1.00")]
    listed = Gate(Steady(lake)).run(suite, frame(spark, bad), 6)
    found = {one.code: one for one in listed}
    assert not results.passed(listed)
    assert (found["UNIQUE:tenant_id+order_id"].failing, found["BETWEEN:total"].failing) == (1, 2)
    assert (found["NOT_NULL:tenant_id"].failing, found["TRUE:SHAPE"].failing) == (1, 1)
    assert found["TRUE:SHAPE"].rows == ({"tenant_id": "s9", "order_id": "5"},)
    assert found["KNOWN:tenant_id"].failing == 1
    assert not found["STEADY:mean"].ok
    assert found["UNIQUE:tenant_id+order_id"].rows == ({"tenant_id": "s2", "order_id": "1"},)
    assert {row["order_id"] for row in found["BETWEEN:total"].rows} == {"1", "5"}

    results.save(lake, "c1", "live", 1_772_000_000_000, listed)
    kept = "".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert "777.77" not in kept
    assert "888.88" not in kept
    assert {one["code"] for one in results.evidence(lake, "c1")} >= {"BETWEEN:total", "NOT_NULL:tenant_id"}
    assert "rows" not in json.dumps(results.latest(lake, "live")["results"][0])  # type: ignore[index]


def test_a_check_that_cannot_be_evaluated_fails(spark: SparkSession, shops: None) -> None:
    """A column that is not there does not pass in silence."""
    mart = Mart("orders", "live", "", COLUMNS, (Declared("not_null", "nowhere", {}),))
    [columns, broken] = Gate().run(for_mart(mart), frame(spark, GOOD), 3)
    assert columns.ok
    assert not broken.ok
    assert broken.detail == "the check could not be evaluated"
