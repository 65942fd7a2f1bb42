"""Simulated time: it starts where it was left and runs a factor faster than the wall clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SimulatedClock:
    """A `caudal.clock.Clock` whose hour lasts 3600 / factor seconds."""

    def __init__(self, start_ms: int, factor: float) -> None:
        self._start_ms = start_ms
        self._factor = factor
        self._began = time.monotonic()

    def now_ms(self) -> int:
        return self._start_ms + int((time.monotonic() - self._began) * 1000 * self._factor)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)


class Pace:
    """Lets `rate` things a second through, evenly; after a pause it does not catch up more than a second's worth."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = time.monotonic()

    def wait_s(self, count: int = 1) -> float:
        """Seconds to wait before the next `count` things may go."""
        now = time.monotonic()
        self._next = max(self._next, now - 1.0)
        wait = max(0.0, self._next - now)
        self._next += count / self._rate
        return wait
