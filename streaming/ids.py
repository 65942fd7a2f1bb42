"""Which events an append table holds: the hashes of their ids with their times, in memory.

Ids have no order on disk, so looking for those of each batch in silver's files cost more the larger the table was. Most
ids are new, and these hashes tell which: a record is looked for in the files only when its hash has been seen, and then
only in files of that time. Two ids with one hash cost a look and nothing else.
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
from streaming.silver import SilverTable, Window

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

Longs = npt.NDArray[np.int64]
# Hashes and times of one run are 16 bytes a row. Two runs become one as long as sorting it is no pause that shows.
_RUN = 2_000_000
# A table with fewer rows is known whole.
_WHOLE = 500_000
_FIRST, _LAST = -(2**62), 2**62


def hashed(tenant: str, event_id: str) -> Column:
    """The hash of an event's id: Spark's xxhash64 of two columns, 64 bits."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.col(f"`{tenant}`"), F.col(f"`{event_id}`"))


@dataclass(frozen=True)
class Suspects:
    """Hashes whose records may be copies (None: all may be), and where in event time silver is to be looked at.

    `spans` are first and last, both included, epoch milliseconds.
    """

    ids: Longs | None
    spans: Sequence[tuple[int, int]]


@dataclass(frozen=True)
class _Run:
    ids: Longs
    ms: Longs


class Ids:
    """Hashes and times of a table's rows with an event time from `from_ms` on, as of `version`. Of one writer.

    At most about `most` rows are known, the newest. What is deleted from the table may stay: it costs a look.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: list[_Run] = []
        self.from_ms = _LAST
        self.version = -1

    def __len__(self) -> int:
        return sum(len(run.ids) for run in self._runs)

    def suspects(self, ids: Longs, ms: Longs, reach: int) -> Suspects:
        """Of records with these hashes and event times (epoch ms), those that may be copies of each other or of rows
        at most `reach` ms away."""
        unknown = ms - reach < self.from_ms
        spans = [_around(ms[unknown], reach)] if unknown.any() else []
        values, counts = np.unique(ids, return_counts=True)
        found = [values[counts > 1], ids[unknown]]
        for run in self._runs:
            low, high = np.searchsorted(run.ids, values, "left"), np.searchsorted(run.ids, values, "right")
            hit = high > low
            if hit.any():
                found.append(values[hit])
                # Hashes that stand several times in a run do so next to each other.
                first, n = low[hit], (high - low)[hit]
                at = np.repeat(first, n) + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
                spans.append(_around(run.ms[at], 0))
        return Suspects(np.unique(np.concatenate(found)), merged(np.concatenate([*spans, _NOTHING])))

    def add(self, ids: Longs, ms: Longs, version: int) -> None:
        """Rows that a commit brought, and its version."""
        self.version = version
        known = ms >= self.from_ms
        ids, ms = ids[known], ms[known]
        if len(ids):
            order = np.argsort(ids)
            self._runs.append(_Run(ids[order], ms[order]))
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
        for rows in silver.pieces(session, columns, window, _RUN):
            wanted = rows.where(inside.between(first, last) & (at >= from_ms))
            found = wanted.select(hashed(tenant, event_id).alias("id"), at.alias("ms")).toArrow()
            self.add(longs(found, "id"), longs(found, "ms"), self.version)

    def _merge(self) -> None:
        while len(self._runs) > 1:
            a, b = self._runs[-2:]
            if len(a.ids) > 2 * len(b.ids) or len(a.ids) + len(b.ids) > _RUN:
                return
            ids, ms = np.concatenate([a.ids, b.ids]), np.concatenate([a.ms, b.ms])
            order = np.argsort(ids)
            self._runs[-2:] = [_Run(ids[order], ms[order])]

    def _forget(self) -> None:
        """Keep the newest three quarters of what may be kept, so that it is not done for each batch."""
        times = np.concatenate([run.ms for run in self._runs])
        keep = self._most * 3 // 4
        self.from_ms = int(np.partition(times, len(times) - keep)[len(times) - keep])
        kept = [(run, run.ms >= self.from_ms) for run in self._runs]
        self._runs = [_Run(run.ids[mask], run.ms[mask]) for run, mask in kept if mask.any()]


def longs(table: pa.Table, name: str) -> Longs:
    """A column without nulls as numbers."""
    found: Longs = table[name].to_numpy().astype(np.int64, copy=False)
    return found


# So many spans at most, and none less than a minute from the next: a table has far fewer files to tell apart.
_SPANS, _GAP_MS = 64, 60_000
_NOTHING = np.empty((0, 2), np.int64)


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
