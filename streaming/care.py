"""Table care: small files become large ones and files that no version needs go, by the tables' only writer.

It runs between batches, so it never conflicts with a write, and within a share of the time: after a run of s seconds
the next one waits s / share. What is due is told by the log (deltalake), without a Spark job.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from caudal import log
from caudal.fault import crashpoint
from caudal.lake import Lake
from caudal.metrics import Metrics
from streaming.settings import StreamingSettings
from streaming.tables import DEAD_LETTERS, LEDGER, PARKED, RAW

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = log.get("streaming.care")
_OPTIMIZE, _VACUUM = "spark.databricks.delta.optimize.", "spark.databricks.delta.vacuum."
_DAY_S = 24 * 3600.0
MB = 1_000_000


@dataclass(frozen=True)
class Place:
    """A table under care: its layer and name, and what runs around a change of it (its writer watches the version)."""

    layer: str
    name: str
    around: Callable[[Callable[[], None]], None]


def directly(work: Callable[[], None]) -> None:
    """For tables whose writers do not watch their versions."""
    work()


class Care:
    """Looks at one table at a time, in turn. Called with the stage's lock held, when no batch runs."""

    def __init__(self, spark: SparkSession, lake: Lake, own: StreamingSettings, metrics: Metrics) -> None:
        # Its settings are not the batches' business.
        self._spark, self._lake, self._own, self._metrics = spark.newSession(), lake, own, metrics
        for name, value in _conf(own).items():
            self._spark.conf.set(name, value)
        self._turn = 0
        self._next_at = time.monotonic() + own.care_look_s
        self._vacuum_at: dict[tuple[str, str], float] = {}
        self._born = time.monotonic()

    def tend(self, silver: Mapping[str, Callable[[Callable[[], None]], None]]) -> None:
        """Care for at most one table, when it is time. `silver` has, by table, what runs around a change of it."""
        now = time.monotonic()
        if now < self._next_at:
            return
        places = [Place(*fixed, directly) for fixed in (RAW, LEDGER, PARKED, DEAD_LETTERS)]
        places += [Place("silver", name, around) for name, around in sorted(silver.items())]
        self._turn = (self._turn + 1) % len(places)
        place = places[self._turn]
        if self._lake.has_table(place.layer, place.name):
            self._tend(place)
        took = time.monotonic() - now
        self._next_at = now + max(self._own.care_look_s, took / self._own.care_share)

    def _tend(self, place: Place) -> None:
        small, size = self._small(place)
        if small >= self._own.care_files:
            place.around(lambda: self._compact(place, small, size))
        due = self._vacuum_at.get((place.layer, place.name), self._born + self._own.vacuum_first_s)
        if time.monotonic() >= due:
            self._vacuum_at[place.layer, place.name] = time.monotonic() + _DAY_S
            self._spark.sql(f"VACUUM delta.`{self._path(place)}` RETAIN {self._own.vacuum_keep_h} HOURS").collect()

    def _small(self, place: Place) -> tuple[int, int]:
        """Live files below the limit, and their bytes."""
        path = self._lake.table(place.layer, place.name)
        opened = DeltaTable(path, storage_options=self._lake.storage_options or None)
        sizes = pa.table(opened.get_add_actions(flatten=True))["size_bytes"]
        below = sizes.filter(pc.less(sizes, self._own.care_small_mb * MB))
        return len(below), int(pc.sum(below).as_py() or 0)

    def _compact(self, place: Place, small: int, size: int) -> None:
        started = time.monotonic()
        [row] = (
            self._spark.sql(f"OPTIMIZE delta.`{self._path(place)}`")
            .select("metrics.numFilesRemoved", "metrics.numFilesAdded")
            .collect()
        )
        crashpoint("mid-care")
        saved = int(row["numFilesRemoved"]) - int(row["numFilesAdded"])
        self._metrics.count("caudal_compacted_files_total", saved, stage=place.layer)
        _log.info(
            "compacted", table=f"{place.layer}.{place.name}", small_files=small, mb=round(size / MB, 1), saved=saved,
            s=round(time.monotonic() - started, 2),
        )  # fmt: skip

    def _path(self, place: Place) -> str:
        return self._lake.spark_table(place.layer, place.name)


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
