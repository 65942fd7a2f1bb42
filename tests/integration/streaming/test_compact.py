"""Files put together beside a table's writer: what comes meanwhile stays, what goes meanwhile does not come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from caudal.lake import Lake, LocalLake
from streaming import compact

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


PLACE = ("silver", "t")
KINDS = "tags MAP<STRING, BIGINT>, parts ARRAY<STRUCT<a: STRING, b: TIMESTAMP>>, price DECIMAL(20, 4), bytes BINARY"
OLD = "timestamp '1500-02-03 04:05:06.789012'"
VALUES = (
    "id AS n",
    f"if(id = 3, {OLD}, timestamp_seconds(id)) AS at",
    "map('a', id, 'b', null) AS tags",
    f"array(named_struct('a', if(id = 5, null, 'x'), 'b', {OLD}), null) AS parts",
    "CAST(id / 7 AS DECIMAL(20, 4)) AS price",
    "encode('é', 'UTF-8') AS bytes",
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return LocalLake(str(tmp_path))


@pytest.fixture
def table(spark: SparkSession, lake: Lake) -> str:
    """Four small files of ten rows each."""
    path = lake.table(*PLACE)
    spark.sql(
        f"CREATE TABLE delta.`{path}` (n BIGINT, at TIMESTAMP, {KINDS}) USING delta CLUSTER BY (at) "
        "TBLPROPERTIES (delta.enableDeletionVectors = true)"
    )
    for part in range(4):
        append(spark, path, part)
    return path


def append(spark: SparkSession, path: str, part: int) -> None:
    rows = spark.range(part * 10, part * 10 + 10, 1, 1).selectExpr(*VALUES)
    rows.write.format("delta").mode("append").save(path)


def names(path: str) -> list[str]:
    return sorted(DeltaTable(path).get_add_actions()["path"].to_pylist())


def rows(spark: SparkSession, path: str) -> list[int]:
    return [row["n"] for row in spark.read.format("delta").load(path).orderBy("n").collect()]


def test_rows_that_come_meanwhile_stay(spark: SparkSession, lake: Lake, table: str) -> None:
    """One file for those that were named, as it is written; the commit says that no row is news."""
    before = names(table)
    written = compact.stage(spark, lake, PLACE, before[:3])
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


def test_rows_of_all_kinds_are_what_they_were(spark: SparkSession, lake: Lake, table: str) -> None:
    """Also times of long ago, and nulls inside; statistics are those that the small files had. No Spark job writes."""
    before = spark.read.format("delta").load(table).orderBy("n").collect()
    told = pa.table(DeltaTable(table).get_add_actions(flatten=True))
    written = compact.stage(spark, lake, PLACE, names(table))
    assert written is not None
    written.commit()
    assert spark.read.format("delta").load(table).orderBy("n").collect() == before
    found = pa.table(DeltaTable(table).get_add_actions(flatten=True))
    [one] = found.select(["num_records", "min.n", "max.n", "min.at", "max.at", "null_count.n"]).to_pylist()
    assert one == {
        "num_records": 40, "min.n": 0, "max.n": 39, "null_count.n": 0,
        "min.at": min(told["min.at"].to_pylist()), "max.at": max(told["max.at"].to_pylist()),
    }  # fmt: skip
    [name] = names(table)
    assert pq.read_metadata(Path(table, name)).created_by.startswith("parquet-cpp")


def test_files_that_lost_rows_are_put_together_too(spark: SparkSession, lake: Lake, table: str) -> None:
    """Deleted rows stay away."""
    spark.sql(f"DELETE FROM delta.`{table}` WHERE n IN (5, 17)")
    written = compact.stage(spark, lake, PLACE, names(table))
    assert written is not None
    written.commit()
    assert rows(spark, table) == [n for n in range(40) if n not in (5, 17)]
    assert len(names(table)) == 1


def test_rows_that_go_meanwhile_stay_away(spark: SparkSession, lake: Lake, table: str) -> None:
    """A file that lost a row since it was read is not replaced: Delta refuses the commit, the table is as it was."""
    written = compact.stage(spark, lake, PLACE, names(table))
    assert written is not None
    spark.sql(f"DELETE FROM delta.`{table}` WHERE n = 5")
    version = DeltaTable(table).version()
    with pytest.raises(Exception, match=r"DELTA_CONCURRENT|ConcurrentModification|concurrent"):
        written.commit()
    assert DeltaTable(table).version() == version
    assert rows(spark, table) == [n for n in range(40) if n != 5]


def test_files_that_are_gone_are_left_out(spark: SparkSession, lake: Lake, table: str) -> None:
    """Names of files that a table has no more do not hurt; one file alone is as compact as it can be."""
    assert compact.stage(spark, lake, PLACE, ["gone.parquet", names(table)[0]]) is None
