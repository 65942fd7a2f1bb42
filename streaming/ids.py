"""Which events an append table holds: the hashes of their ids with their times and what they say, in memory.

Ids have no order on disk, so looking for those of each batch in silver's files cost more the larger the table was. Most
ids are new, and nearly all others are plain copies; these hashes tell both. What they leave open (a copy that says
something else, times that are far apart, a row whose content is not known here) is looked up in silver's files of that
time and compared field by field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.contract import Contract
from schemas.tables import column_of
from streaming.runs import Longs
from streaming.silver import SilverTable, Window

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

Mask = npt.NDArray[np.bool_]
# Hashes and times of one run are 20 bytes a row. Two runs become one as long as sorting it is no pause that shows.
_RUN = 2_000_000
# A table with fewer rows is known whole.
_WHOLE = 500_000
_FIRST, _LAST = -(2**62), 2**62
UNKNOWN = np.uint32(0)
"""What a row says when only its id is known."""


def hashed(tenant: str, event_id: str) -> Column:
    """The hash of an event's id: Spark's xxhash64 of two columns, 64 bits."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.col(f"`{tenant}`"), F.col(f"`{event_id}`"))


@dataclass(frozen=True)
class Records:
    """Fine records of a slice, in raw's order: hashes of ids, event times (epoch ms), hashes of what they say."""

    ids: Longs
    ms: Longs
    says: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, mask: Mask) -> Records:
        """Those for which the mask is true."""
        return Records(self.ids[mask], self.ms[mask], self.says[mask])


@dataclass(frozen=True)
class Suspects:
    """Hashes of ids that are to be looked into (None: all), and the event times where silver may have their rows.

    `spans` are first and last, both included, epoch milliseconds.
    """

    ids: Longs | None
    spans: Sequence[tuple[int, int]]


class Ids:
    """What is known of a table's rows with an event time from `from_ms` on, as of `version`. Of one writer.

    At most about `most` rows are known, the newest. Whoever deletes rows of the table begins with new ones.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: list[Records] = []
        self.from_ms = _LAST
        self.version = -1

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def compare(self, records: Records, reach: int) -> tuple[Mask, Suspects]:
        """Which records are certainly copies of an earlier one, or of a row, at most `reach` ms away that says the
        same; and which have to be looked into."""
        order = np.argsort(records.ids, kind="stable")
        mine = Records(records.ids[order], records.ms[order], records.says[order])
        starts = np.flatnonzero(np.r_[True, mine.ids[1:] != mine.ids[:-1]]) if len(mine) else _EMPTY
        values, counts = mine.ids[starts], np.diff(np.r_[starts, len(mine)])
        hits = [_hits(run, values) for run in self._runs]
        group = np.concatenate([_EMPTY, *(at for at, _ in hits)])
        rows = _joined([found for _, found in hits])
        met = np.zeros(len(values), bool)
        met[group] = True
        open_ = _open(mine, starts, group, rows, reach) & (met | (counts > 1))
        unknown = _any(mine.ms - reach < self.from_ms, starts)
        open_ |= unknown
        # Raw's order is kept within an id, so the first of those that are not in silver is the one applied.
        later = np.ones(len(mine), bool)
        later[starts] = met
        copies = np.zeros(len(mine), bool)
        copies[order] = later & ~np.repeat(open_, counts)
        spans = [
            _around(rows.ms[open_[group]], 0),
            _around(mine.ms[np.repeat(unknown, counts)], reach),
        ]
        return copies, Suspects(values[open_], merged(np.concatenate(spans)))

    def add(self, records: Records, version: int) -> None:
        """Rows that a commit brought, and its version."""
        self.version = version
        known = records.where(records.ms >= self.from_ms)
        if len(known):
            self._runs.append(_sorted(known))
            self._merge()
        if len(self) > self._most:
            self._forget()

    def advance(self, session: SparkSession, silver: SilverTable, contract: Contract, ms: Longs) -> None:
        """Come to the table's version as of the last look at it, and as far back as a batch of these times needs.

        Nothing is read when nothing else than `add` has changed the table.
        """
        reach = int(contract.lateness.total_seconds() * 1000)
        # A few records from long ago are looked up in the files instead.
        wanted = int(np.quantile(ms, 0.01)) - reach if len(ms) else _LAST
        time = column_of(contract, contract.event_time)
        if silver.at > self.version >= 0:
            self._read(session, silver, contract, Window("_version", [(self.version + 1, silver.at)]), self.from_ms)
        if wanted < self.from_ms and (self._most > len(self) or self.version < 0):
            if silver.count(None) <= min(_WHOLE, self._most):
                wanted = _FIRST
            else:
                wanted = max(wanted, silver.latest(time, self._most))
            before, self.from_ms = self.from_ms, min(wanted, self.from_ms)
            self._read(session, silver, contract, Window(time, [(self.from_ms, before - 1)]), self.from_ms)
        self.version = silver.at

    def prepare(self, session: SparkSession, silver: SilverTable, contract: Contract) -> None:
        """Read a large table before the first batch has to wait for it; a small one is read by the batch itself."""
        newest = silver.newest(column_of(contract, contract.event_time))
        if newest is not None and silver.count(None) > _WHOLE:
            self.advance(session, silver, contract, np.array([newest], np.int64))

    def _read(
        self, session: SparkSession, silver: SilverTable, contract: Contract, window: Window, from_ms: int
    ) -> None:
        from pyspark.sql import functions as F

        tenant, event_id, time = (
            column_of(contract, name) for name in (contract.tenant, contract.event_id, contract.event_time)
        )
        columns = [(tenant, "STRING"), (event_id, "STRING"), (time, "TIMESTAMP"), ("_version", "BIGINT")]
        at = F.unix_millis(F.col(f"`{time}`"))
        [(first, last)] = window.spans
        inside = F.col("_version") if window.column == "_version" else at
        for _, rows in silver.pieces(session, columns, window, _RUN):
            wanted = rows.where(inside.between(first, last) & (at >= from_ms))
            found = wanted.select(hashed(tenant, event_id).alias("id"), at.alias("ms")).toArrow()
            nothing = np.full(len(found), UNKNOWN, np.uint32)
            self.add(Records(longs(found, "id"), longs(found, "ms"), nothing), self.version)

    def _merge(self) -> None:
        while len(self._runs) > 1:
            a, b = self._runs[-2:]
            if len(a) > 2 * len(b) or len(a) + len(b) > _RUN:
                return
            self._runs[-2:] = [_sorted(_joined([a, b]))]

    def _forget(self) -> None:
        """Keep the newest three quarters of what may be kept, so that it is not done for each batch."""
        times = np.concatenate([run.ms for run in self._runs])
        keep = self._most * 3 // 4
        self.from_ms = int(np.partition(times, len(times) - keep)[len(times) - keep])
        self._runs = [kept for run in self._runs if len(kept := run.where(run.ms >= self.from_ms))]


def longs(table: pa.Table, name: str) -> Longs:
    """A column without nulls as numbers."""
    found: Longs = table[name].to_numpy().astype(np.int64, copy=False)
    return found


_EMPTY = np.empty(0, np.int64)
_NOTHING = Records(_EMPTY, _EMPTY, np.empty(0, np.uint32))


def _sorted(records: Records) -> Records:
    order = np.argsort(records.ids)
    return Records(records.ids[order], records.ms[order], records.says[order])


def _joined(parts: Sequence[Records]) -> Records:
    parts = [_NOTHING, *parts]
    return Records(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.ms for part in parts]),
        np.concatenate([part.says for part in parts]),
    )


def _hits(run: Records, values: Longs) -> tuple[Longs, Records]:
    """Rows of a run whose ids are among these, and for each the place of its id in them."""
    low, high = np.searchsorted(run.ids, values, "left"), np.searchsorted(run.ids, values, "right")
    n = high - low
    # One id's rows stand next to each other: low, low + 1, ...
    at = np.repeat(low, n) + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    return np.repeat(np.arange(len(values)), n), Records(run.ids[at], run.ms[at], run.says[at])


def _open(mine: Records, starts: Longs, group: Longs, rows: Records, reach: int) -> Mask:
    """By id: whether its records and rows do not all say the same (or it is not known what), or are too far apart."""
    if not len(starts):
        return np.zeros(0, bool)
    first, last = np.minimum.reduceat(mine.ms, starts), np.maximum.reduceat(mine.ms, starts)
    np.minimum.at(first, group, rows.ms)
    np.maximum.at(last, group, rows.ms)
    low, high = np.minimum.reduceat(mine.says, starts), np.maximum.reduceat(mine.says, starts)
    np.minimum.at(low, group, rows.says)
    np.maximum.at(high, group, rows.says)
    found: Mask = (last - first > reach) | (low != high) | (low == UNKNOWN)
    return found


def _any(mask: Mask, starts: Longs) -> Mask:
    return np.logical_or.reduceat(mask, starts) if len(starts) else np.zeros(0, bool)


# So many spans at most, and none less than a minute from the next: a table has far fewer files to tell apart.
_SPANS, _GAP_MS = 64, 60_000


def _around(ms: Longs, reach: int) -> Longs:
    return np.stack([ms - reach, ms + reach], axis=-1)


def merged_around(ms: Longs, reach: int) -> list[tuple[int, int]]:
    """Spans that hold all times at most `reach` away from one of these."""
    return merged(_around(ms, reach))


def merged(spans: Longs) -> list[tuple[int, int]]:
    """Spans (rows of first and last) in order; those that overlap are made one, and those with the smallest gaps."""
    if not len(spans):
        return []
    ordered = spans[np.argsort(spans[:, 0])]
    ends = np.maximum.accumulate(ordered[:, 1])
    gaps = ordered[1:, 0] - ends[:-1]
    least = max(_GAP_MS, int(np.sort(gaps)[-_SPANS]) if len(gaps) >= _SPANS else 0)
    begins = np.flatnonzero(np.r_[True, gaps > least])
    return list(zip(ordered[begins, 0].tolist(), ends[np.r_[begins[1:] - 1, len(ends) - 1]].tolist(), strict=True))
