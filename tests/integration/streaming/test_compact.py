"""Files put together beside a table's writer: what comes meanwhile stays, what goes meanwhile does not come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from streaming import compact

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


@pytest.fixture
def table(spark: SparkSession, tmp_path: Path) -> str:
    """Four small files of ten rows each."""
    path = str(tmp_path / "t")
    spark.sql(
        f"CREATE TABLE delta.`{path}` (n BIGINT, at TIMESTAMP) USING delta CLUSTER BY (at) "
        "TBLPROPERTIES (delta.enableDeletionVectors = true)"
    )
    for part in range(4):
        append(spark, path, part)
    return path


def append(spark: SparkSession, path: str, part: int) -> None:
    rows = spark.range(part * 10, part * 10 + 10, 1, 1).selectExpr("id AS n", "timestamp_seconds(id) AS at")
    rows.write.format("delta").mode("append").save(path)


def names(path: str) -> list[str]:
    return sorted(DeltaTable(path).get_add_actions()["path"].to_pylist())


def rows(spark: SparkSession, path: str) -> list[int]:
    return [row["n"] for row in spark.read.format("delta").load(path).orderBy("n").collect()]


def test_rows_that_come_meanwhile_stay(spark: SparkSession, table: str) -> None:
    """One file for those that were named, as it is written; the commit says that no row is news."""
    before = names(table)
    written = compact.stage(spark, table, before[:3])
    assert written is not None
    assert names(table) == before
    append(spark, table, 4)
    written.commit()
    assert rows(spark, table) == list(range(50))
    assert len(names(table)) == 3
    assert len(set(names(table)) & set(before)) == 1
    assert DeltaTable(table).history(1)[0]["operation"] == "OPTIMIZE"
    log = sorted(Path(table, "_delta_log").glob("*.json"))[-1].read_text().splitlines()
    changes = [next(iter(action.values())) for action in map(json.loads, log) if {"add", "remove"} & set(action)]
    assert [change["dataChange"] for change in changes] == [False] * 4


def test_rows_that_go_meanwhile_stay_away(spark: SparkSession, table: str) -> None:
    """A file that lost a row since it was read is not replaced: Delta refuses the commit, the table is as it was."""
    written = compact.stage(spark, table, names(table))
    assert written is not None
    spark.sql(f"DELETE FROM delta.`{table}` WHERE n = 5")
    version = DeltaTable(table).version()
    with pytest.raises(Exception, match=r"DELTA_CONCURRENT|ConcurrentModification|concurrent"):
        written.commit()
    assert DeltaTable(table).version() == version
    assert rows(spark, table) == [n for n in range(40) if n != 5]


def test_files_that_are_gone_are_left_out(spark: SparkSession, table: str) -> None:
    """Names of files that a table has no more do not hurt; one file alone is as compact as it can be."""
    assert compact.stage(spark, table, ["gone.parquet", names(table)[0]]) is None
