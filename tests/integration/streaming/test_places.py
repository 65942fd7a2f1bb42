"""Rows are replaced by their place: what Spark and deltalake read afterwards, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from caudal.lake import Lake
from caudal.query import Query
from caudal.settings import Settings
from streaming.commit import Txn
from streaming.errors import TableDrift
from streaming.silver import SilverTable
from streaming.staged import stage
from streaming.vectors import PLACE, Places

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
COLUMNS = [("id", "BIGINT"), ("v", "STRING")]
NONE = PLACE.empty_table()


def test_rows_are_replaced_where_they_are(spark: SparkSession, offline_settings: Settings) -> None:
    """A second replacement in a file keeps the first; a file without rows goes; a wrong place changes nothing."""
    lake = Lake.open(offline_settings)
    path = lake.spark_table("silver", "t")
    spark.sql(
        f"CREATE TABLE delta.`{path}` (id BIGINT, v STRING) USING DELTA "
        "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
    )
    table = SilverTable(lake, "t")
    number = 0

    def put(values: dict[int, str], replaced: pa.Table = NONE, version: int | None = None) -> None:
        nonlocal number
        number += 1
        rows = spark.createDataFrame(list(values.items()), "id BIGINT, v STRING").coalesce(1)
        at = table.version() if version is None else version
        stage(rows, path, Txn("t", number), f"m{number}", Places(at, replaced, table.files)).commit()

    def places(*ids: int) -> pa.Table:
        table.version()
        found = table.placed(spark, COLUMNS).where(f"id IN ({', '.join(map(str, ids))})")
        return found.selectExpr("_file AS file", "_at AS at").toArrow().cast(PLACE)

    def content() -> dict[int, str]:
        rows = spark.read.format("delta").load(path).collect()
        table.version()
        assert sorted(map(tuple, table.rows(spark, COLUMNS, None).collect())) == sorted(map(tuple, rows))
        query = Query(lake)
        query.table("t", "silver", "t")
        assert sorted(map(tuple, rows)) == [
            (row["id"], row["v"]) for row in query.rows("SELECT id, v FROM t ORDER BY 1")
        ]
        return {row["id"]: row["v"] for row in rows}

    put({n: "a" for n in range(5)})
    put({n: "a" for n in range(5, 8)})
    put({1: "b", 6: "b"}, places(1, 6))
    put({2: "c", 5: "c", 9: "c"}, places(2, 5))
    assert content() == {0: "a", 1: "b", 2: "c", 3: "a", 4: "a", 5: "c", 6: "b", 7: "a", 9: "c"}
    files = set(DeltaTable(path).file_uris())
    # The last row of the second file, and of the one that a replacement wrote.
    put({7: "d", 1: "d", 6: "d"}, places(7, 1, 6))
    assert content() == {0: "a", 1: "d", 2: "c", 3: "a", 4: "a", 5: "c", 6: "d", 7: "d", 9: "c"}
    assert len(files - set(DeltaTable(path).file_uris())) == 2
    newest = DeltaTable(path).history(1)[0]
    assert (newest["operation"], newest["userMetadata"]) == ("MERGE", "m5")
    assert newest["operationMetrics"]["numTargetRowsUpdated"] == "3"
    assert table.transaction("t") == 5

    before, old = content(), table.at
    stale = places(3)
    spark.sql(f"UPDATE delta.`{path}` SET v = 'z' WHERE id = 4")
    for wrong, version in ((stale, old), (places(0).set_column(1, "at", [[1]]), None), (_elsewhere(), None)):
        with pytest.raises(TableDrift):
            put({3: "e"}, wrong, version)
    assert content() == {**before, 4: "z"}


def _elsewhere() -> pa.Table:
    return pa.table({"file": ["part-0-none.parquet"], "at": [0]}, schema=PLACE)
