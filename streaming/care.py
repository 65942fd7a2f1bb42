"""Table care: small files become large ones, deleted rows leave their files, logs and folders lose what nobody needs.

The tables' only writer does it between batches, so it never conflicts with a write; files of tables that only grow are
written while batches go on, and committed between them. What is due is told by the commits since the last look; the
table with the most to gain comes first, and nothing is begun that would let a batch wait for longer than the budget.
All of it takes a share of the time: after a run of s seconds the next one waits s / share.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from caudal import log
from caudal.lake import Lake
from caudal.metrics import Metrics
from streaming import needs
from streaming.compact import Compaction
from streaming.needs import Costs, Kind, Need, Table
from streaming.settings import StreamingSettings
from streaming.sizes import MB
from streaming.tables import DEAD_LETTERS, LEDGER, PARKED, RAW, RESOLUTIONS
from streaming.tally import File, Tally
from streaming.tend import Kept, Tending, directly

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = log.get("streaming.care")
_DAY_S = 24 * 3600.0
# What did not help, or did not work, is tried again after so many looks: five minutes.
_RESTS_LOOKS = 15
_FIXED = (RAW, LEDGER, PARKED, DEAD_LETTERS, RESOLUTIONS)
# At a look no more time than this goes into reading commits; other tables have theirs at the next.
_LOOK_S = 0.3
Places = Mapping[tuple[str, str], Kept]


@dataclass(frozen=True)
class Saved:
    """What one run did: data files fewer, bytes of data files fewer, files of the log deleted, and its seconds."""

    table: str
    kind: Kind
    files: int = 0
    bytes: int = 0
    log_files: int = 0
    seconds: float = 0.0


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
        self._tending, self._lake, self._own, self._metrics = Tending(spark, lake, own), lake, own, metrics
        self._costs = Costs()
        self._tallies: dict[tuple[str, str], Tally] = {}
        self._turn = 0
        self._born = time.monotonic()
        self._next_at = self._born + own.care_look_s
        self._vacuum_at: dict[tuple[str, str], float] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="care")
        # What is done while batches go on, and when that began.
        self._beside: tuple[Need, Future[Compaction | None], float] | None = None
        # By table and kind: until when (monotonic seconds) what did not help, or did not work, is left alone.
        self._rests: dict[tuple[str, str, Kind], float] = {}

    def tend(self, silver: Mapping[str, Kept], *, waiting: bool, record_bytes: int = 0) -> Saved | None:
        """Care for at most one table, when it is time. `silver` has, by table, what runs around a change of it;
        `waiting` says that records wait for the next batch, `record_bytes` how large raw's are."""
        now, places = time.monotonic(), self._places(silver)
        if self._beside is not None:
            return self._end(places) if self._beside[1].done() else None
        if now < self._next_at:
            return None
        need = None
        try:
            wanted = [need for table in self._look(places) for need in self._needs(table)]
            need = needs.first(wanted, self._costs, self._own.care_budget_s, waiting=waiting)
            if need is not None and need.beside:
                self._begin(need, record_bytes)
                return None
            return self._meet(need, places, record_bytes) if need else None
        except Exception:
            self._rest(need)
            raise
        finally:
            took = (time.monotonic() - now) / self._own.care_share if need and not need.beside else 0.0
            self._next_at = now + max(self._own.care_look_s, took)

    def settle(self) -> None:
        """Wait for what is done beside the batches, and forget it: files without a commit go with the next vacuum."""
        beside, self._beside = self._beside, None
        if beside is not None:
            beside[1].exception()

    def tables(self, silver: Mapping[str, Kept]) -> list[str]:
        """The tables under care that are there, as layer.name."""
        return [f"{layer}.{name}" for layer, name in self._places(silver) if self._lake.has_table(layer, name)]

    def now(self, silver: Mapping[str, Kept], wanted: str, record_bytes: int = 0) -> list[Saved]:
        """Give a table (layer.name) what it can gain from, whatever that takes: limits do not count, so two small files
        are compacted already."""
        self.settle()
        places, (layer, _, name) = self._places(silver), wanted.partition(".")
        found, eager = [], self._own.model_copy(update={"care_files": 2, "care_deleted": 1e-9, "care_budget_s": 1e9})
        for kind in ("compact", "purge", "log"):
            # What one run did decides what is left for the next.
            table = self._known(layer, name, None, grows=places[layer, name].grows)
            todo = [need for need in needs.needs(table, eager, self._costs) if need.kind == kind] if table else []
            if kind == "log" and table:
                todo = [Need(table, "log", 1)]
            met = [self._meet(need, places, record_bytes) for need in todo]
            found += [saved for saved in met if saved is not None]
        return found

    def _places(self, silver: Mapping[str, Kept]) -> Places:
        fixed = dict.fromkeys(_FIXED, Kept(directly, grows=True))
        return {**fixed, **{("silver", name): kept for name, kept in sorted(silver.items())}}

    def _look(self, places: Places) -> list[Table]:
        """What is known of the tables; the commits since the last look are read, each time from another table on."""
        keys, until = list(places), time.monotonic() + _LOOK_S
        self._turn = (self._turn + 1) % len(keys)
        turns = [*keys[self._turn :], *keys[: self._turn]]
        found = [self._known(*key, until, grows=places[key].grows) for key in turns]
        return [table for table in found if table is not None]

    def _known(self, layer: str, name: str, until: float | None, *, grows: bool) -> Table | None:
        tally = self._tallies.get((layer, name))
        if tally is None:
            if (until is not None and time.monotonic() >= until) or not self._lake.has_table(layer, name):
                return None
            tally = self._tallies[layer, name] = Tally(self._lake, layer, name)
        while (until is None or time.monotonic() < until) and not tally.look():
            pass
        if tally.version < 0:
            return None
        table = Table(layer, name, tally.files, tally.versions(), layer == "silver" and not grows, grows)
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

    def _begin(self, need: Need, record_bytes: int) -> None:
        """Put a table's small files together while batches go on."""
        from pyspark import inheritable_thread_target

        self._tending.suit(need, record_bytes)
        stage = inheritable_thread_target(self._tending.spark)(self._tending.staged)
        self._beside = (need, self._pool.submit(stage, need), time.monotonic())

    def _end(self, places: Places) -> Saved | None:
        """Make what was written beside the batches part of its table."""
        assert self._beside is not None, "it was begun"
        (need, done, began), self._beside = self._beside, None
        key = (need.table.layer, need.table.name)
        tally = self._tallies[key]
        try:
            written = done.result()
            while not tally.look():
                pass
            before = tally.files
            if written is not None and key in places and places[key].made(written.commit):
                return self._saved(need, before, began)
        except Exception:
            self._rest(need)
            raise
        self._rest(need)
        return None

    def _meet(self, need: Need, places: Places, record_bytes: int) -> Saved | None:
        """Do it and say so; None when the table's writer did not let it be changed."""
        started, table, gone = time.monotonic(), need.table, 0
        key = (table.layer, table.name)
        self._tending.suit(need, record_bytes)
        if need.kind == "log":
            self._settle()
            gone = self._tending.trim(self._tallies[key])
        elif need.kind == "vacuum":
            self._vacuum_at[key] = time.monotonic() + _DAY_S
            self._tending.vacuum(need)
        elif not self._tending.rewrite(need, places[key]):
            self._rest(need)
            return None
        return self._saved(need, table.files, started, gone)

    def _saved(self, need: Need, before: Mapping[str, File], started: float, gone: int = 0) -> Saved:
        """What a change made of the files that were there `before`; it is told, and learned from."""
        table, tally = need.table, self._tallies[need.table.layer, need.table.name]
        while not tally.look():
            pass
        (files, size), (left, rest), seconds = _size(before), _size(tally.files), time.monotonic() - started
        if not need.beside:
            self._costs.learn(need.kind, need.mb, seconds)
        if (need.kind == "log" and not gone) or (need.kind == "compact" and left >= files):
            # What is too young to go, or as compact as it can be, will not change at once.
            self._rest(need)
        saved = Saved(table.key, need.kind, files - left, size - rest, gone, round(seconds, 2))
        self._report(need, saved, replace(table, files=tally.files, versions=tally.versions()))
        return saved

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
            beside=need.beside,
        )  # fmt: skip


def _size(files: Mapping[str, File]) -> tuple[int, int]:
    return len(files), sum(file.bytes for file in files.values())
