"""Streaming's Spark session: what differs from the common factory, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from caudal import spark
from caudal.settings import Settings
from streaming.settings import StreamingSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Parquet's own first look, in rows, and what a task may gather before one, in bytes.
_PARQUET_LOOKS_AFTER = 100
_GATHERED = 8_000_000

CONF = {
    # Plans of a batch are small and known; planning them again after each stage only adds jobs.
    "spark.sql.adaptive.enabled": "false",
    # Times are exact and readable by deltalake; INT96, Spark's default, is nanoseconds in 64 bits there.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Progress of the last batches is enough; each entry holds offsets of all partitions.
    "spark.sql.streaming.numRecentProgressUpdates": "5",
    # The checkpoint is scratch and made anew at each start.
    "spark.sql.streaming.minBatchesToRetain": "2",
    # Empty batches between polls would only be noise.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.streaming.metricsEnabled": "false",
    # What is merged is held already; Delta would hold it once more.
    "spark.databricks.delta.merge.materializeSource": "none",
    # Files of silver are named one by one; below this many no Spark job is spent on asking for their sizes.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "1000",
    # Of 1 GiB of heap some 290 MB are for rows that are held. The default of 0.6 left too little to those who write and
    # fetch records of 20 MB; a batch as it should be has a third of it.
    "spark.memory.fraction": "0.4",
    # Rows that are held are weighed one by one: by default sixteen, of 20 MB each, go by between two looks.
    "spark.storage.unrollMemoryCheckPeriod": "1",
    # What goes to disk is forgotten row by row: by default a stream keeps its last hundred rows, whatever their size.
    "spark.serializer.objectStreamReset": "1",
    # Small plans are interpreted; `suit` decides for each batch anew.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


def start(settings: Settings) -> SparkSession:
    """The session of the streaming process."""
    return spark.session(settings, "streaming", settings.spark.streaming_heap, CONF)


def suit(session: SparkSession, records: int, own: StreamingSettings) -> int:
    """Set a session up for a batch of so many records, and return the tasks that are worth it.

    Compiling a plan's code, and each further task of each stage, cost more than a small batch has work.
    """
    small = records < own.interpret_below
    tasks = 1 if small else session.sparkContext.defaultParallelism
    session.conf.set("spark.sql.codegen.wholeStage", str(not small).lower())
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN" if small else "FALLBACK")
    session.conf.set("spark.sql.shuffle.partitions", str(tasks))
    return tasks


def plain(session: SparkSession, columns: Iterable[str]) -> None:
    """Write these columns (Parquet's names) as they are: looking each value up in a dictionary that will not be used
    was a fifth of what a batch cost."""
    for name in columns:
        session.conf.set(f"parquet.enable.dictionary#{name}", "false")


def weigh(session: SparkSession, largest: int) -> None:
    """Let Parquet's writer look at what it has gathered before that is too much: by default it looks first after 100
    rows, whatever their size, and has up to 128 MB for each task. `largest` is the longest value, in bytes."""
    every = max(1, _GATHERED // max(1, largest))
    names = ("parquet.page.size.row.check.min", "parquet.page.size.row.check.max", "parquet.block.size")
    if every >= _PARQUET_LOOKS_AFTER:
        for name in names:
            session.conf.unset(name)
        return
    for name, value in zip(names, (every, every, 4 * _GATHERED), strict=True):
        session.conf.set(name, str(value))


def read_by(session: SparkSession, rows: int) -> None:
    """Let readers of Parquet hold so many rows at a time."""
    session.conf.set("spark.sql.parquet.columnarReaderBatchSize", str(rows))


def scratch(session: SparkSession) -> str | None:
    """Spark's own folder for scratch files on this machine, None when it names none that is there."""
    first = session.sparkContext.getConf().get("spark.local.dir", "").partition(",")[0]
    return first if first and Path(first).is_dir() else None
