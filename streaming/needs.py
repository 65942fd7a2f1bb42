"""Which table has the most to gain from care, and whether it may have it now: decisions, without effects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from streaming.settings import StreamingSettings
from streaming.sizes import MB
from streaming.tally import File

Kind = Literal["compact", "purge", "log", "vacuum"]
# So many times over its limit a table gets its care even when a batch has to wait for so many times the budget.
OVERDUE, STRETCH = 8.0, 4.0
# Fewer rows than these are no reason to write files anew, whatever their share.
FEW_DELETED = 1000


@dataclass(frozen=True)
class Table:
    """What is known of one table. `versions` are commits in its log. To a table that `grows` rows are added and none is
    changed, so its files can be put together while batches go on."""

    layer: str
    name: str
    files: Mapping[str, File]
    versions: int
    clustered: bool
    grows: bool = False

    @property
    def key(self) -> str:
        return f"{self.layer}.{self.name}"


@dataclass(frozen=True)
class Need:
    """One thing that one table needs: how many times over its limit it is (`gain`, due from 1 on), the megabytes that
    it would write anew, and for a compaction the bytes from which on a file is left alone."""

    table: Table
    kind: Kind
    gain: float
    mb: float = 0.0
    below: int = 0

    @property
    def beside(self) -> bool:
        """Whether batches go on meanwhile."""
        return self.kind == "compact" and self.table.grows


class Costs:
    """Seconds that care has taken, by kind: of a run as such, and for each megabyte written anew."""

    def __init__(self) -> None:
        self._run: dict[Kind, float] = {"compact": 1.0, "purge": 1.0, "log": 0.5, "vacuum": 2.0}
        self._mb: dict[Kind, float] = {"compact": 0.05, "purge": 0.05}

    def seconds(self, kind: Kind, mb: float) -> float:
        """What a run would take."""
        return self._run[kind] + self._mb.get(kind, 0.0) * mb

    def megabytes(self, kind: Kind, seconds: float) -> float:
        """What fits into so many seconds; at least one."""
        each = self._mb.get(kind, 0.0)
        return max(1.0, (seconds - self._run[kind]) / each) if each > 0 else float("inf")

    def learn(self, kind: Kind, mb: float, seconds: float) -> None:
        """A run took so long. What was quicker than believed is believed at once, what was slower by half: one run on a
        machine that was busy must not keep the next ones away."""
        if mb * self._mb.get(kind, 0.0) > self._run[kind]:
            self._mb[kind] = _believed(self._mb[kind], max(0.0, seconds - self._run[kind]) / mb)
        else:
            self._run[kind] = _believed(self._run[kind], max(0.01, seconds - self._mb.get(kind, 0.0) * mb))


def _believed(before: float, seen: float) -> float:
    return seen if seen < before else (before + seen) / 2


def needs(table: Table, own: StreamingSettings, costs: Costs) -> list[Need]:
    """What a table needs now, by its own limits."""
    found = [_compaction(table, own, costs), _purge(table, own), Need(table, "log", table.versions / own.care_versions)]
    return [need for need in found if need is not None and need.gain >= 1]


def first(wanted: Iterable[Need], costs: Costs, budget_s: float, *, waiting: bool) -> Need | None:
    """The need that is most over its limit, of those that may be met now: while records wait for their batch, what
    fits into the budget; what is long overdue may take a few of them, or twice what a run takes that writes nothing,
    since on a machine as slow as that waiting does not make it less."""

    def may(need: Need) -> bool:
        late = max(STRETCH * budget_s, 2 * costs.seconds(need.kind, 0))
        most = late if need.gain >= OVERDUE else budget_s
        return not waiting or need.beside or costs.seconds(need.kind, need.mb) <= most

    return max(filter(may, wanted), key=lambda need: need.gain, default=None)


def small_files(table: Table, own: StreamingSettings) -> list[int]:
    """Bytes of the files that are small, smallest first."""
    return sorted(file.bytes for file in table.files.values() if file.bytes < own.care_small_mb * MB)


def deleted_share(table: Table) -> float:
    """Rows that deletion vectors took out, of all rows in the files."""
    rows = sum(file.rows for file in table.files.values())
    return sum(file.deleted for file in table.files.values()) / rows if rows else 0.0


def rows(need: Need) -> int:
    """About how many rows it would write anew."""
    files = need.table.files.values()
    size = sum(file.bytes for file in files)
    return round(sum(file.rows for file in files) * need.mb * MB / size) if size else 0


def _compaction(table: Table, own: StreamingSettings, costs: Costs) -> Need | None:
    small = small_files(table, own)
    gain, limit = len(small) / own.care_files, own.care_small_mb * MB
    if gain < 1:
        return None
    if table.clustered:
        # Clustering takes every file that it has not seen, large ones too.
        size = sum(file.bytes for file in table.files.values() if file.bytes < limit or file.loose)
        return Need(table, "compact", gain, size / MB, limit)
    # The smallest ones; they make the most readers' work for their size. While batches wait, what fits into the budget.
    fits = 2 * limit if table.grows else costs.megabytes("compact", own.care_budget_s) * MB
    sums = list(accumulate(small))
    n = min(len(small), max(2, sum(1 for size in sums if size <= fits)))
    # Files of the same size cannot be told apart, so all of them are taken.
    below = small[n - 1] + 1
    taken = sum(1 for size in small if size < below)
    return Need(table, "compact", gain, sum(small[:taken]) / MB, below)


def _purge(table: Table, own: StreamingSettings) -> Need | None:
    deleted = sum(file.deleted for file in table.files.values())
    if deleted < FEW_DELETED:
        return None
    size = sum(file.bytes for file in table.files.values() if file.deleted)
    return Need(table, "purge", deleted_share(table) / own.care_deleted, size / MB)
