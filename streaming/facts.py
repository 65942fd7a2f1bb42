"""What a commit says about itself: the ledger's lines, and their JSON form inside the commit's userMetadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from streaming.errors import Unbalanced

COUNTS = ("read", "applied", "duplicate", "superseded", "dead_letter", "parked", "late", "suppressed", "expired")


@dataclass(frozen=True)
class Facts:
    """One line of the ledger: what became of a contract's raw records of the batches up to `batch`.

    Covers every raw batch after the contract's line before, since a batch without records of the contract leaves no
    line. A parked record that is decided later leaves a second line of the same batch with `parked` negative.
    `expired` rows, applied before, were removed from silver for their age.
    """

    batch: int
    contract: str
    read: int = 0
    applied: int = 0
    duplicate: int = 0
    superseded: int = 0
    dead_letter: int = 0
    parked: int = 0
    late: int = 0
    suppressed: int = 0
    expired: int = 0
    offsets: Mapping[str, list[int]] = field(default_factory=dict)

    def balance(self) -> None:
        """Raise Unbalanced when the states do not add up to what was read."""
        states = self.applied + self.duplicate + self.superseded + self.dead_letter + self.parked
        if self.read != states:
            raise Unbalanced(
                f"{self.read} records were read and {states} accounted for",
                where=f"{self.contract}, batch {self.batch}",
                why="records were lost or doubled between raw and silver",
                fix="nothing of this batch was committed; it is tried again from raw",
            )

    def negated(self) -> Facts:
        """The line that takes this one back, after its commit was undone by a RESTORE."""
        return replace(self, **{name: -getattr(self, name) for name in COUNTS})


@dataclass(frozen=True)
class Parked:
    """Records of one schema id that wait, or with a negative count, wait no more."""

    contract: str
    first_batch: int
    batch: int
    schema_id: int
    records: int


@dataclass(frozen=True)
class Replayed:
    """A replay of dead letters of raw batches [first, last]: which (`where`), with what fixes, who asked for it.

    `covered` is the raw batch that silver covered then: what came later met the replayed records.
    """

    id: str
    first: int
    last: int
    by: str
    where: Mapping[str, str] = field(default_factory=dict)
    fixes: tuple[Mapping[str, Any], ...] = ()
    contract: str = ""
    covered: int = 0


@dataclass(frozen=True)
class SilverCommit:
    """The facts of one silver commit. `upto` is the highest raw batch the table covers after it."""

    contract: str
    upto: int
    lines: tuple[Facts, ...]
    parked: tuple[Parked, ...] = ()
    replay: Replayed | None = None

    def text(self) -> str:
        """The userMetadata of the commit."""
        return json.dumps(
            {
                "caudal": "silver",
                "contract": self.contract,
                "upto": self.upto,
                "lines": [_line(line) for line in self.lines],
                "parked": [[p.first_batch, p.batch, p.schema_id, p.records] for p in self.parked],
                **({"replay": vars(self.replay)} if self.replay else {}),
            },
            separators=(",", ":"),
        )


@dataclass(frozen=True)
class RawCommit:
    """The facts of one raw commit: its batch, the end offset of every partition ever read, the ids of the topics, and
    how many bytes a record of them has."""

    batch: int
    ends: Mapping[str, Mapping[int, int]]
    ids: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        """The userMetadata of the commit."""
        ends = {topic: {str(p): end for p, end in parts.items()} for topic, parts in self.ends.items()}
        found = {"caudal": "raw", "batch": self.batch, "ends": ends, "ids": dict(self.ids), "sizes": dict(self.sizes)}
        return json.dumps(found, separators=(",", ":"))


def replayed(found: Mapping[str, Any]) -> Replayed:
    """A replay from its JSON form."""
    return Replayed(**{**found, "fixes": tuple(found["fixes"])})


def silver_commit(text: str | None) -> SilverCommit | None:
    """The facts in a commit's userMetadata, or None when the commit is none of a slice."""
    found = _parsed(text, "silver")
    if found is None:
        return None
    contract = str(found["contract"])
    return SilverCommit(
        contract,
        int(found["upto"]),
        tuple(Facts(contract=contract, **line) for line in found["lines"]),
        tuple(Parked(contract, *values) for values in found["parked"]),
        _replayed(found.get("replay")),
    )


def raw_commit(text: str | None) -> RawCommit | None:
    """The facts in a raw commit's userMetadata, or None when the commit is none of a batch."""
    found = _parsed(text, "raw")
    if found is None:
        return None
    ends = {topic: {int(p): int(end) for p, end in parts.items()} for topic, parts in found["ends"].items()}
    return RawCommit(int(found["batch"]), ends, dict(found.get("ids") or {}), dict(found.get("sizes") or {}))


def counted(batch: int, contract: str, counts: Mapping[str, Any]) -> Facts:
    """A line from its counts by name."""
    return replace(Facts(batch, contract), **{name: counts[name] for name in COUNTS})


def totals(lines: Sequence[Facts]) -> dict[str, int]:
    """Sums of all counts."""
    return {name: sum(getattr(line, name) for line in lines) for name in COUNTS}


def _replayed(found: Mapping[str, Any] | None) -> Replayed | None:
    return replayed(found) if found else None


def _line(line: Facts) -> dict[str, Any]:
    return {
        "batch": line.batch,
        **{name: getattr(line, name) for name in COUNTS if getattr(line, name)},
        "offsets": dict(line.offsets),
    }


def _parsed(text: str | None, kind: str) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("caudal") == kind else None
