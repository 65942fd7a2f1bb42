"""Many tiny commits: live files and log stay bounded, deleted rows go, pinned versions can be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.query import Query
from caudal.settings import Settings
from streaming import raw, tables
from streaming.care import Care
from streaming.commit import Txn
from streaming.facts import RawCommit
from streaming.settings import StreamingSettings
from streaming.tables import RAW

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
COMMITS, PINNED_FOR = 60, 10
FILES, VERSIONS, CHECKPOINT = 10, 20, 10
ROWS, LARGE, GONE = 3, 5_000, 2_000


class Table:
    """Raw, written a commit at a time and cared for after each."""

    def __init__(self, spark: SparkSession, lake: Lake) -> None:
        self.spark, self.lake, self.batch, self.rows = spark, lake, 0, 0
        self.metrics = Metrics("test")
        tables.create_fixed(spark, lake)
        self.sql(f"ALTER TABLE {{}} SET TBLPROPERTIES ('delta.checkpointInterval' = '{CHECKPOINT}')")

    def care(self, log_h: float) -> Care:
        """Eager care that keeps so many hours of the log, however slow the machine is."""
        limits = {"care_files": FILES, "care_versions": VERSIONS, "care_log_h": log_h, "care_budget_s": 1e9}
        own = StreamingSettings(care_look_s=1e-9, care_share=1.0, vacuum_first_s=1e9, **limits)  # type: ignore[arg-type]
        return Care(self.spark, self.lake, own, self.metrics)

    def sql(self, text: str) -> None:
        self.spark.sql(text.format(f"delta.`{self.lake.spark_table(*RAW)}`"))

    def append(self, rows: int) -> None:
        """One batch, as streaming appends it."""
        self.batch += 1
        made = self.spark.range(rows).selectExpr(
            "'t' AS topic", "0 AS partition", "id AS offset", "current_timestamp() AS timestamp",
            "CAST('k' AS BINARY) AS key", "CAST('v' AS BINARY) AS value",
            "CAST(NULL AS ARRAY<STRUCT<key: STRING, value: BINARY>>) AS headers",
        )  # fmt: skip
        shaped = raw.shaped(made, self.batch, "2026-01-05", 1)
        facts = RawCommit(self.batch, {"t": {0: self.batch}})
        raw.append_raw(shaped, self.lake.spark_table(*RAW), Txn("q/raw", self.batch), facts)
        self.rows += rows

    def counted(self, version: int | None = None) -> int:
        query = Query(self.lake)
        query.table("t", *RAW, version)
        return int(query.one("SELECT count(*) FROM t"))

    def opened(self) -> DeltaTable:
        return DeltaTable(self.lake.table(*RAW))

    def log(self) -> list[str]:
        return self.lake.list("raw/events/_delta_log")


@pytest.mark.timeout(1800)
def test_files_and_log_stay_bounded(spark: SparkSession, offline_settings: Settings) -> None:
    """At no moment are there more files or versions than the limits and one round of care allow; no row is lost."""
    table = Table(spark, Lake.open(offline_settings))
    care, most_files, most_versions = table.care(log_h=0), 0, 0
    for n in range(COMMITS):
        table.append(ROWS)
        care.tend({}, waiting=True)
        if n % 10 == 9:
            most_files = max(most_files, len(table.opened().file_uris()))
            most_versions = max(most_versions, sum(name.endswith(".json") for name in table.log()))
    # A need is met one at a time, and a cut is made at a checkpoint.
    assert most_files <= FILES + 4
    assert most_versions <= VERSIONS + CHECKPOINT + 4
    assert len(table.log()) <= 2 * (VERSIONS + CHECKPOINT + 4) + COMMITS // CHECKPOINT
    # Nor do Hadoop's checksums stay behind, one for each file.
    everything = list(Path(table.lake.table(*RAW), "_delta_log").iterdir())
    assert len(everything) <= 2 * len(table.log()) + 2
    assert table.counted() == table.rows
    with pytest.raises(DeltaError):
        table.counted(1)

    # Whoever has pinned a version reads it for as long as the log is kept, however often the table is cared for.
    pinned, then = table.opened().version(), table.rows
    keeping = table.care(log_h=1)
    for _ in range(PINNED_FOR):
        table.append(ROWS)
        keeping.tend({}, waiting=True)
    assert table.counted(pinned) == then
    assert table.counted() == table.rows

    # Rows that are only marked as deleted leave their files when they are many.
    table.append(LARGE)
    table.sql(f"DELETE FROM {{}} WHERE _batch = {table.batch} AND offset < {GONE}")
    table.rows -= GONE
    done = [saved for _ in range(4) if (saved := keeping.tend({}, waiting=True)) is not None]
    assert "purge" in [saved.kind for saved in done]
    assert pa.table(table.opened().deletion_vectors()).num_rows == 0
    assert table.counted() == table.rows
    numbers = table.metrics.snapshot()
    found = {s["name"]: s["value"] for s in numbers["gauges"] if s["labels"] == {"table": "raw.events"}}
    assert found["caudal_table_files"] == len(table.opened().file_uris())
    assert found["caudal_table_deleted_ratio"] == 0
    counted = [s for s in numbers["counters"] if s["name"] == "caudal_care_files_total"]
    assert sum(s["value"] for s in counted if s["labels"]["kind"] == "compact") > COMMITS / 2
