"""What streaming must do, in plain Python: records one by one in raw's order, whatever the batches were."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(frozen=True)
class Event:
    """One good record. `note` stands for all other fields: copies with another note differ."""

    tenant: str
    key: str
    event_id: str
    time: int
    note: str = ""
    delete: bool = False


@dataclass
class Outcome:
    """Final rows, and how many records became what."""

    rows: dict[tuple[str, ...], Event] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, state: str) -> None:
        self.counts[state] = self.counts.get(state, 0) + 1


def append(batches: Sequence[Sequence[Event]], lateness_ms: int) -> tuple[list[Event], dict[str, int]]:
    """Applied events in order, and counts by state. Batch boundaries change nothing."""
    numbered = [list(enumerate(batch)) for batch in batches]
    placed = [[((n, i), event) for i, event in batch] for n, batch in enumerate(numbered)]
    states = append_states(placed, lateness_ms)
    applied = [event for batch in placed for place, event in batch if states[place] == "applied"]
    return applied, dict(Counter(states.values()))


def append_states(batches: Sequence[Sequence[tuple[P, Event]]], lateness_ms: int) -> dict[P, str]:
    """What becomes of each event, by its place: applied, duplicate or conflict."""
    applied: dict[tuple[str, str], list[Event]] = defaultdict(list)
    out: dict[P, str] = {}
    for place, event in (placed for batch in batches for placed in batch):
        mine = applied[event.tenant, event.event_id]
        near = [a for a in mine if abs(a.time - event.time) <= lateness_ms]
        if not near:
            mine.append(event)
            out[place] = "applied"
        else:
            same = any((a.note, a.time) == (event.note, event.time) for a in near)
            out[place] = "duplicate" if same else "conflict"
    return out


def upsert(batches: Sequence[Sequence[Event]]) -> Outcome:
    """The newest event of each key by (time, event id), first of equals; counts belong to the batches."""
    out = Outcome()
    for batch in batches:
        before = dict(out.rows)
        newest: dict[tuple[str, str], Event] = {}
        first: dict[tuple[str, str, str], Event] = {}
        for event in batch:
            place = (event.tenant, event.key)
            if place not in newest or _newness(event) > _newness(newest[place]):
                newest[place] = event
            copy = (*place, event.event_id)
            if copy not in first or event.time > first[copy].time:
                first[copy] = event
        for event in batch:
            place = (event.tenant, event.key)
            met = before.get(place)
            newer = met is None or _newness(event) > _newness(met)
            if first[*place, event.event_id] is not event or (
                met is not None and met.event_id == event.event_id and not newer
            ):
                out.count("duplicate")
            elif newest[place] is event and newer:
                out.rows[place] = event
                out.count("applied")
            else:
                out.count("superseded")
    return out


def _newness(event: Event) -> tuple[int, str]:
    return (event.time, event.event_id)


@dataclass(frozen=True)
class Change:
    """One change record of a row with the columns a and b. `op` is u, d (a body and `_op`), null (no body) or t."""

    tenant: str
    key: str
    event_id: str
    sequence: int
    time: int
    op: str
    a: str | None = None
    b: str | None = None

    @property
    def newness(self) -> tuple[int, str]:
        return (self.sequence, self.event_id)


@dataclass(frozen=True)
class Row:
    """What silver says of a key: its newest change, and its columns."""

    event_id: str
    sequence: int
    deleted: bool
    a: str | None
    b: str | None


def cdc(changes: Sequence[Change], partial: bool) -> dict[tuple[str, str], Row]:
    """Sort by sequence and fold: the state of every key that has a record of its own."""
    rows: dict[tuple[str, str], Row] = {}
    keys = {(c.tenant, c.key) for c in changes if c.op != "t"}
    for tenant, key in keys:
        state = Row("", -1, True, None, None)
        mine = [c for c in set(changes) if c.tenant == tenant and (c.op == "t" or c.key == key)]
        for change in sorted(mine, key=lambda c: c.newness):
            gone = change.op != "u"
            a, b = change.a, change.b
            if change.op in ("t", "null") or (gone and partial):
                a = b = None
            elif partial:
                a, b = (state.a if a is None else a), (state.b if b is None else b)
            state = Row(change.event_id, change.sequence, gone, a, b)
        rows[tenant, key] = state
    return rows


def cdc_counts(groups: Sequence[Mapping[Hashable, Change]]) -> Counter[str]:
    """How many changes became what, when they came in these groups, each in raw's order."""
    counts: Counter[str] = Counter()
    met: dict[tuple[str, str], tuple[int, str]] = {}
    cuts: dict[str, tuple[int, str]] = {}
    for group in groups:
        changes = list(group.values())
        for change in changes:
            if change.op == "t":
                cuts[change.tenant] = max(cuts.get(change.tenant, change.newness), change.newness)
        newest: dict[tuple[str, str], tuple[int, str]] = {}
        for change in changes:
            newest[_row(change)] = max(newest.get(_row(change), change.newness), change.newness)
        seen: set[tuple[tuple[str, str], str]] = set()
        for change in changes:
            row, cut = _row(change), cuts.get(change.tenant) if change.op != "t" else None
            newer = (row not in met or change.newness > met[row]) and (cut is None or change.newness > cut)
            copy = (row, change.event_id) in seen or (row in met and met[row][1] == change.event_id and not newer)
            seen.add((row, change.event_id))
            best = newer and newest[row] == change.newness
            counts["duplicate" if copy else "applied" if best else "superseded"] += 1
        for row, found in newest.items():
            met[row] = max(met.get(row, found), found)
        for row, found in met.items():
            if not row[1].startswith("truncate/"):
                met[row] = max(found, cuts.get(row[0], found))
    return counts


def _row(change: Change) -> tuple[str, str]:
    """The key of the row that the change is about; a truncate has one of its own."""
    return (change.tenant, f"truncate/{change.event_id}" if change.op == "t" else change.key)


Version = tuple[int | None, int | None, bool]
"""(valid from, valid to, current); without a time when a newer change of its version stands for it."""


def versions(changes: Sequence[Change], tracked: bool = False) -> dict[tuple[str, str, str], Version]:
    """What the history says of every change but truncates, by tenant, key and event id. `tracked`: a change that leaves
    `a` as it is starts no version."""
    out: dict[tuple[str, str, str], Version] = {}
    for tenant, key in {(c.tenant, c.key) for c in changes if c.op != "t"}:
        mine = [c for c in set(changes) if c.tenant == tenant and (c.op == "t" or c.key == key)]
        run: list[Change] = []
        for change in sorted(mine, key=lambda c: c.newness):
            if run and not (tracked and change.op == "u" and change.a == run[-1].a):
                out |= _run(run, change)
                run = []
            if change.op == "u":
                run.append(change)
            elif change.op != "t":
                out[tenant, key, change.event_id] = (change.time, change.time, False)
        out |= _run(run, None)
    return out


def _run(run: Sequence[Change], following: Change | None) -> dict[tuple[str, str, str], Version]:
    """The newest change of a run holds from the time of the first one, until the next."""
    if not run:
        return {}
    *absorbed, last = run
    start = run[0].time
    ends = None if following is None else max(start, following.time)
    rest: dict[tuple[str, str, str], Version] = {(c.tenant, c.key, c.event_id): (None, None, False) for c in absorbed}
    return {**rest, (last.tenant, last.key, last.event_id): (start, ends, following is None)}
