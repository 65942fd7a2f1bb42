"""Spark and Python judge generated rules on generated rows alike, and planned columns can be added."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas import evolution, rule_python, rule_spark, rules
from schemas.contract import Rule
from schemas.errors import ContractError
from schemas.tables import create_sql, silver_columns, silver_properties
from tests.support.contracts import field, make, pii
from tests.support.rules import COLUMNS, booleans, contract, rows

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

SCHEMA = "a bigint, b bigint, d decimal(9,2), e decimal(6,4), x double, s string, t string, f boolean"


def generated(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """That many examples, the same ones in every run: one Spark job judges them all."""
    found: list[Any] = []

    @settings(max_examples=count, phases=[Phase.generate], derandomize=True, database=None, deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def test_spark_and_python_agree(spark: SparkSession) -> None:
    """A hundred rules on sixty rows, with overflow, NaN, zero, wide characters and nulls: equal verdicts."""
    sample = contract()
    trees = []
    for text in dict.fromkeys(generated(booleans(), 160)):
        try:
            trees.append((text, rules.parse(Rule("X", text), sample)))
        except ContractError:
            continue
    assert len(trees) > 60
    table = generated(rows(), 60)
    frame = spark.createDataFrame([tuple(row[name] for name in COLUMNS) for row in table], SCHEMA)
    judged = frame.selectExpr(
        *[f"{rule_spark.compile_(tree, {})} AS r{i}" for i, (_, tree) in enumerate(trees)]
    ).collect()
    for index, (text, tree) in enumerate(trees):
        judge = rule_python.compile_(tree)
        for row, verdicts in zip(table, judged, strict=True):
            assert judge(row) is verdicts[index], (text, row)


def test_rules_of_the_contracts_fit_their_tables(spark: SparkSession) -> None:
    """Every rule of every contract of ours is an expression over its silver table's columns."""
    from schemas.load import BUILT_IN_ROOT, load_catalog

    for one in load_catalog(BUILT_IN_ROOT).values():
        columns = ", ".join(f"`{c.name}` {c.spark_type}" for c in silver_columns(one))
        empty = spark.createDataFrame([], columns)
        # Analysis alone says whether columns, types and functions fit; nothing has to run.
        judged = empty.selectExpr(*[rules.compile_spark(rule, one) for rule in one.quality])
        assert [f.dataType.simpleString() for f in judged.schema] == ["boolean"] * len(one.quality)


def test_planned_columns_are_added(spark: SparkSession, tmp_path: Path) -> None:
    """A table made for version 1 takes version 2's columns, one inside an array of records, and then needs nothing."""

    def lines(*fields: dict[str, object]) -> dict[str, object]:
        return field("lines", {"type": "array", "items": {"type": "record", "name": "Line", "fields": list(fields)}})

    sku = {"name": "sku", "type": "string"}
    old = (lines(sku), field("n", "int"))
    new = (lines(sku, field("weight", "float")), field("n", "double"), pii("contact_email", "email"))
    before, after = make(tmp_path / "a", old), make(tmp_path / "b", old, new)
    path = str(tmp_path / "silver")
    spark.sql(create_sql(path, silver_columns(before), ("happened_at", "event_id"), silver_properties(before)))

    def now() -> dict[str, str]:
        return {f.name: f.dataType.simpleString() for f in spark.read.format("delta").load(path).schema}

    assert evolution.plan(now(), before) == []
    planned = evolution.plan(now(), after)
    assert [column.name for column in planned] == ["lines.element.weight", "n__v2", "contact_email"]
    spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS ({', '.join(column.ddl for column in planned)})")
    assert evolution.plan(now(), after) == []
