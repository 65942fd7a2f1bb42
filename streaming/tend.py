"""What table care does to one table: compaction, purge, vacuum, and a shorter log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caudal.fault import crashpoint
from caudal.lake import Lake
from streaming import compact, needs, session, sizes
from streaming.compact import Compaction
from streaming.needs import Need
from streaming.settings import StreamingSettings
from streaming.sizes import MB
from streaming.tables import RAW
from streaming.tally import Tally
from streaming.trim import expired

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_OPTIMIZE, _VACUUM = "spark.databricks.delta.optimize.", "spark.databricks.delta.vacuum."
_HOUR_MS = 3_600_000
Around = Callable[[Callable[[], None]], None]
"""Runs a change of a table; its writer watches the version."""


@dataclass(frozen=True)
class Kept:
    """What runs around a change of a table, and whether rows are only added to it."""

    around: Around
    grows: bool

    def made(self, change: Callable[[], object]) -> bool:
        """Whether the table's writer let it be changed."""
        ran: list[bool] = []

        def work() -> None:
            change()
            ran.append(True)
            crashpoint("mid-care")

        self.around(work)
        return bool(ran)


def directly(work: Callable[[], None]) -> None:
    """For tables whose writers do not watch their versions."""
    work()


class Tending:
    """The tables' care in a Spark session of its own, since its settings are not the batches' business."""

    def __init__(self, spark: SparkSession, lake: Lake, own: StreamingSettings) -> None:
        self.spark, self._lake, self._own = spark.newSession(), lake, own
        for name, value in _conf(own).items():
            self.spark.conf.set(name, value)

    def suit(self, need: Need, record_bytes: int) -> None:
        """Set the session up for what is to be done; `record_bytes` is how large raw's records are."""
        raw = (need.table.layer, need.table.name) == RAW
        # Raw keeps what silver refuses, of any size.
        session.read_by(self.spark, sizes.column_rows(record_bytes if raw else 0))
        session.weigh(self.spark, self._own.max_message_bytes if raw else 0)
        session.suit(self.spark, needs.rows(need), self._own)

    def staged(self, need: Need) -> Compaction | None:
        """The small files of a table that only grows, written as one that is no part of it yet."""
        # A pool of its own, so that the batches' jobs come in turn with it.
        self.spark.sparkContext.setLocalProperty("spark.scheduler.pool", "care")
        small = [name for name, file in need.table.files.items() if file.bytes < need.below]
        return compact.stage(self.spark, self._lake, (need.table.layer, need.table.name), small)

    def rewrite(self, need: Need, kept: Kept) -> bool:
        """Compact or purge while its writer waits; false when the writer did not let it be changed."""
        if need.beside:
            written = self.staged(need)
            return written is not None and kept.made(written.commit)
        self.spark.conf.set(f"{_OPTIMIZE}minFileSize", str(need.below or self._own.care_small_mb * MB))
        verb = "OPTIMIZE {}" if need.kind == "compact" else "REORG TABLE {} APPLY (PURGE)"
        return kept.made(lambda: self.spark.sql(verb.format(f"delta.`{self._path(need)}`")).collect())

    def vacuum(self, need: Need) -> None:
        """Delete what no version of the time that is kept needs."""
        self.spark.sql(f"VACUUM delta.`{self._path(need)}` RETAIN {self._own.vacuum_keep_h} HOURS").collect()

    def trim(self, tally: Tally) -> int:
        """Delete files of the log that nobody needs, for as long as the budget lets; how many."""
        keep_from_ms = int(time.time() * 1000 - self._own.care_log_h * _HOUR_MS)
        found, gone = expired(tally.names(), keep_from_ms, tally.made_at_ms), 0
        until = time.monotonic() + self._own.care_budget_s
        for name in found:
            # The oldest first: what is left begins with a checkpoint at any moment, or with files that nobody needs.
            tally.forget(name)
            gone += 1
            if time.monotonic() >= until:
                break
        tally.names()
        return gone

    def _path(self, need: Need) -> str:
        return self._lake.spark_table(need.table.layer, need.table.name)


def _conf(own: StreamingSettings) -> dict[str, str]:
    """A compaction takes small files only; what it wrote once and is large enough is left alone from then on."""
    small, large = str(own.care_small_mb * MB), str(4 * own.care_small_mb * MB)
    return {
        f"{_OPTIMIZE}minFileSize": small,
        f"{_OPTIMIZE}maxFileSize": large,
        # Clustered files of a group below this size are clustered again; by default it is 100 GB: everything, always.
        f"{_OPTIMIZE}clustering.mergeStrategy.minCubeSize.threshold": small,
        # Ten thousand tasks to list a folder, by default.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
        f"{_VACUUM}parallelDelete.enabled": "false",
    }
