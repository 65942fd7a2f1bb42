"""Table care: small files become large ones, deleted rows leave their files, logs and folders lose what nobody needs.

The tables' only writer does it between batches, so it never conflicts with a write. What is due is told by the commits
since the last look; the table with the most to gain comes first, and nothing is begun that would let a batch wait for
longer than the budget. All of it takes a share of the time: after a run of s seconds the next one waits s / share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from caudal import log
from caudal.fault import crashpoint
from caudal.lake import Lake
from caudal.metrics import Metrics
from streaming import needs, session, sizes
from streaming.needs import Costs, Kind, Need, Table
from streaming.settings import StreamingSettings
from streaming.sizes import MB
from streaming.tables import DEAD_LETTERS, LEDGER, PARKED, RAW, RESOLUTIONS
from streaming.tally import File, Tally
from streaming.trim import expired

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = log.get("streaming.care")
_OPTIMIZE, _VACUUM = "spark.databricks.delta.optimize.", "spark.databricks.delta.vacuum."
_DAY_S = 24 * 3600.0
_HOUR_MS = 3_600_000
# What did not help, or did not work, is tried again after so many looks: five minutes.
_RESTS_LOOKS = 15
_FIXED = (RAW, LEDGER, PARKED, DEAD_LETTERS, RESOLUTIONS)
# At a look no more time than this goes into reading commits; other tables have theirs at the next.
_LOOK_S = 0.3
Around = Callable[[Callable[[], None]], None]
"""Runs a change of a table; its writer watches the version."""


@dataclass(frozen=True)
class Saved:
    """What one run did: data files fewer, bytes of data files fewer, files of the log deleted, and its seconds."""

    table: str
    kind: Kind
    files: int = 0
    bytes: int = 0
    log_files: int = 0
    seconds: float = 0.0


def directly(work: Callable[[], None]) -> None:
    """For tables whose writers do not watch their versions."""
    work()


class Care:
    """All tables of the stage. Called with its lock held, when no batch runs."""

    def __init__(
        self,
        spark: SparkSession,
        lake: Lake,
        own: StreamingSettings,
        metrics: Metrics,
        settle: Callable[[], object] = lambda: None,
    ) -> None:
        """`settle` is done before a log is cut: it takes from the commits what somebody may still need, or raises."""
        self._settle = settle
        # Its settings are not the batches' business.
        self._spark, self._lake, self._own, self._metrics = spark.newSession(), lake, own, metrics
        for name, value in _conf(own).items():
            self._spark.conf.set(name, value)
        self._costs = Costs()
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._turn = 0
        self._born = time.monotonic()
        self._next_at = self._born + own.care_look_s
        self._vacuum_at: dict[tuple[str, str], float] = {}
        # By table and kind: until when (monotonic seconds) what did not help, or did not work, is left alone.
        self._rests: dict[tuple[str, str, Kind], float] = {}

    def tend(self, silver: Mapping[str, Around], *, waiting: bool, record_bytes: int = 0) -> Saved | None:
        """Care for at most one table, when it is time. `silver` has, by table, what runs around a change of it;
        `waiting` says that records wait for the next batch, `record_bytes` how large raw's are."""
        now = time.monotonic()
        if now < self._next_at:
            return None
        places, need = self._places(silver), None
        try:
            wanted = [need for table in self._look(places) for need in self._needs(table)]
            need = needs.first(wanted, self._costs, self._own.care_budget_s, waiting=waiting)
            return self._meet(need, places, record_bytes) if need else None
        except Exception:
            self._rest(need)
            raise
        finally:
            took = (time.monotonic() - now) / self._own.care_share if need else 0.0
            self._next_at = now + max(self._own.care_look_s, took)

    def tables(self, silver: Mapping[str, Around]) -> list[str]:
        """The tables under care that are there, as layer.name."""
        return [f"{layer}.{name}" for layer, name in self._places(silver) if self._lake.has_table(layer, name)]

    def now(self, silver: Mapping[str, Around], wanted: str, record_bytes: int = 0) -> list[Saved]:
        """Give a table (layer.name) what it can gain from, whatever that takes: limits do not count, so two small files
        are compacted already."""
        places, (layer, _, name) = self._places(silver), wanted.partition(".")
        found, eager = [], self._own.model_copy(update={"care_files": 2, "care_deleted": 1e-9, "care_budget_s": 1e9})
        for kind in ("compact", "purge", "log"):
            # What one run did decides what is left for the next.
            table = self._known(layer, name, None)
            todo = [need for need in needs.needs(table, eager, self._costs) if need.kind == kind] if table else []
            if kind == "log" and table:
                todo = [Need(table, "log", 1)]
            met = [self._meet(need, places, record_bytes) for need in todo]
            found += [saved for saved in met if saved is not None]
        return found

    def _places(self, silver: Mapping[str, Around]) -> dict[tuple[str, str], Around]:
        return {**dict.fromkeys(_FIXED, directly), **{("silver", name): run for name, run in sorted(silver.items())}}

    def _look(self, places: Mapping[tuple[str, str], Around]) -> list[Table]:
        """What is known of the tables; the commits since the last look are read, each time from another table on."""
        keys, until = list(places), time.monotonic() + _LOOK_S
        self._turn = (self._turn + 1) % len(keys)
        found = [self._known(*key, until) for key in [*keys[self._turn :], *keys[: self._turn]]]
        return [table for table in found if table is not None]

    def _known(self, layer: str, name: str, until: float | None) -> Table | None:
        tally = self._tallies.get((layer, name))
        if tally is None:
            if (until is not None and time.monotonic() >= until) or not self._lake.has_table(layer, name):
                return None
            tally = self._tallies[layer, name] = Tally(self._lake, layer, name)
        while (until is None or time.monotonic() < until) and not tally.look():
            pass
        if tally.version < 0:
            return None
        table = Table(layer, name, tally.files, tally.versions(), layer == "silver" or (layer, name) == RAW)
        self._tell(table)
        return table

    def _needs(self, table: Table) -> list[Need]:
        found, now = needs.needs(table, self._own, self._costs), time.monotonic()
        if now >= self._vacuum_at.get((table.layer, table.name), self._born + self._own.vacuum_first_s):
            found.append(Need(table, "vacuum", 1))
        return [need for need in found if now >= self._rests.get((table.layer, table.name, need.kind), now)]

    def _rest(self, need: Need | None) -> None:
        """Let other tables have their turn before this is tried again."""
        if need is not None:
            until = time.monotonic() + _RESTS_LOOKS * self._own.care_look_s
            self._rests[need.table.layer, need.table.name, need.kind] = until

    def _meet(self, need: Need, places: Mapping[tuple[str, str], Around], record_bytes: int) -> Saved | None:
        """Do it and say so; None when the table's writer did not let it be changed."""
        started, table = time.monotonic(), need.table
        key, path = (table.layer, table.name), self._lake.spark_table(table.layer, table.name)
        # Raw keeps what silver refuses, of any size.
        session.read_by(self._spark, sizes.column_rows(record_bytes if key == RAW else 0))
        session.weigh(self._spark, self._own.max_message_bytes if key == RAW else 0)
        session.suit(self._spark, needs.rows(need), self._own)
        tally, before = self._tallies[key], _size(table.files)
        gone = 0
        if need.kind == "log":
            self._settle()
            gone = self._trim(tally)
        elif need.kind == "vacuum":
            self._vacuum_at[key] = time.monotonic() + _DAY_S
            self._spark.sql(f"VACUUM delta.`{path}` RETAIN {self._own.vacuum_keep_h} HOURS").collect()
        else:
            self._spark.conf.set(f"{_OPTIMIZE}minFileSize", str(need.below or self._own.care_small_mb * MB))
            sql = f"OPTIMIZE delta.`{path}`" if need.kind == "compact" else f"REORG TABLE delta.`{path}` APPLY (PURGE)"
            ran: list[bool] = []
            places[key](lambda: ran.append(_run(self._spark, sql)))
            if not ran:
                self._rest(need)
                return None
        while not tally.look():
            pass
        after, seconds = _size(tally.files), time.monotonic() - started
        self._costs.learn(need.kind, need.mb, seconds)
        if (need.kind == "log" and not gone) or (need.kind == "compact" and after[0] >= before[0]):
            # What is too young to go, or as compact as it can be, will not change at once.
            self._rest(need)
        saved = Saved(table.key, need.kind, before[0] - after[0], before[1] - after[1], gone, round(seconds, 2))
        self._report(need, saved, replace(table, files=tally.files, versions=tally.versions()))
        return saved

    def _trim(self, tally: Tally) -> int:
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

    def _tell(self, table: Table) -> None:
        small = len(needs.small_files(table, self._own))
        self._metrics.gauge("caudal_table_files", len(table.files), table=table.key)
        self._metrics.gauge("caudal_table_small_files", small, table=table.key)
        self._metrics.gauge("caudal_table_bytes", _size(table.files)[1], table=table.key)
        self._metrics.gauge("caudal_table_deleted_ratio", round(needs.deleted_share(table), 4), table=table.key)
        self._metrics.gauge("caudal_table_log_versions", table.versions, table=table.key)

    def _report(self, need: Need, saved: Saved, now: Table) -> None:
        counted = {
            "caudal_care_runs_total": 1,
            "caudal_care_seconds_total": saved.seconds,
            "caudal_care_log_files_total": saved.log_files,
            # A run that divides a large file saves nothing, which is no reason to count backwards.
            "caudal_care_files_total": max(0, saved.files),
            "caudal_care_bytes_total": max(0, saved.bytes),
        }
        for name, n in counted.items():
            self._metrics.count(name, n, table=saved.table, kind=saved.kind)
        if need.kind == "compact":
            self._metrics.count("caudal_compacted_files_total", max(0, saved.files), stage=need.table.layer)
        self._tell(now)
        _log.info(
            "table care", table=saved.table, kind=saved.kind, files_fewer=saved.files, files=len(now.files),
            mb=round(need.mb, 1), mb_fewer=round(saved.bytes / MB, 1), log_files_fewer=saved.log_files, s=saved.seconds,
        )  # fmt: skip


def _run(spark: SparkSession, sql: str) -> bool:
    spark.sql(sql).collect()
    crashpoint("mid-care")
    return True


def _size(files: Mapping[str, File]) -> tuple[int, int]:
    return len(files), sum(file.bytes for file in files.values())


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
