"""What the soak's samples say: whether memory, files or age have grown from the first third to the last. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

# The driver may use so much, whatever happens (MiB).
MEMORY_MIB = 2048
# Growth that is none: a heap settles in, collections and batches fall differently.
MEMORY_RATIO, MEMORY_SLACK_MIB = 1.25, 64
AGE_RATIO, AGE_SLACK_S = 1.5, 0.5
FILES_RATIO = 1.5
# Commits behind a log's newest checkpoint, which every reader reads one by one; a checkpoint comes every 100 at most.
LOG_TAIL = 200
CALM_FROM = 0.6
"""The part of each third from which it is calm: its faults are over, what they left is worked off."""


@dataclass(frozen=True)
class Sample:
    """One look: seconds since the start, MiB of the driver (PSS), live files of the table that has most, log files of
    all tables, commits behind a checkpoint of the table that has most, events sent and read, seconds of age at P95."""

    at_s: float
    memory_mib: float
    live_files: int
    log_files: int
    log_tail: int
    sent: int
    age_p95_s: float | None = None


@dataclass(frozen=True)
class Verdict:
    """One quantity in the calm part of the first and of the last third, the most that the last may have, and whether
    it holds."""

    name: str
    first: float
    last: float
    most: float
    ok: bool


def judged(samples: Sequence[Sample], seconds: float, care_files: int) -> list[Verdict]:
    """All bounds. Without samples in one of the thirds a bound is broken."""
    first, last = (calm(samples, seconds, third) for third in (0, 2))
    most_files = 2 * care_files

    def one(name: str, value: Callable[[Sequence[Sample]], float], most: Callable[[float], float]) -> Verdict:
        if not first or not last:
            return Verdict(name, 0, 0, 0, False)
        before, after = value(first), value(last)
        return Verdict(name, round(before, 2), round(after, 2), round(most(before), 2), after <= most(before))

    found = [
        one(
            "memory, MiB",
            lambda part: statistics.median(s.memory_mib for s in part),
            lambda before: min(MEMORY_MIB, before * MEMORY_RATIO + MEMORY_SLACK_MIB),
        ),
        one(
            "live files of a table",
            lambda part: max(s.live_files for s in part),
            lambda before: max(most_files, before * FILES_RATIO),
        ),
        one("log behind a checkpoint", lambda part: max(s.log_tail for s in part), lambda _: LOG_TAIL),
    ]
    ages = [[s.age_p95_s for s in part if s.age_p95_s is not None] for part in (first, last)]
    if not all(ages):
        return [*found, Verdict("age at P95, s", 0, 0, 0, False)]
    before, after = (statistics.median(part) for part in ages)
    most = before * AGE_RATIO + AGE_SLACK_S
    return [*found, Verdict("age at P95, s", round(before, 2), round(after, 2), round(most, 2), after <= most)]


def calm(samples: Sequence[Sample], seconds: float, third: int) -> list[Sample]:
    """The samples of the calm part of a third (0, 1, 2)."""
    length = seconds / 3
    first, last = third * length + CALM_FROM * length, (third + 1) * length
    return [sample for sample in samples if first <= sample.at_s < last]


def plain(samples: Sequence[Sample]) -> list[dict[str, object]]:
    """The samples as JSON."""
    return [asdict(sample) for sample in samples]
