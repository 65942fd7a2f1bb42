"""A backlog being worked off: records left, how fast, and when it will be done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# A batch of a backlog takes seconds, so a rate over less would jump between nothing and twice the truth.
WINDOW_S = 60.0


@dataclass(frozen=True)
class Backlog:
    """`left` records wait in Kafka, `per_s` are read; `eta_s` seconds until none is left (None: not to be said, since
    as much comes in, or nothing moves)."""

    left: int
    per_s: float
    eta_s: float | None


class Progress:
    """Remembers the looks of the last minute."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int, int]] = deque()

    def look(self, at: float, done: int, end: int) -> Backlog:
        """Take in how many offsets of all partitions are done and where they end, and when that was (seconds)."""
        if self._looks and (done < self._looks[-1][1] or end < self._looks[-1][2]):
            # A topic came or went, so the sums of before mean something else.
            self._looks.clear()
        self._looks.append((at, done, end))
        while len(self._looks) > 2 and self._looks[0][0] < at - WINDOW_S:
            self._looks.popleft()
        since, done_then, end_then = self._looks[0]
        left, passed = max(0, end - done), at - since
        if passed <= 0:
            return Backlog(left, 0.0, 0.0 if left == 0 else None)
        shrinks = ((end_then - done_then) - (end - done)) / passed
        eta = 0.0 if left == 0 else left / shrinks if shrinks > 0 else None
        return Backlog(left, (done - done_then) / passed, eta)
