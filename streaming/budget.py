"""The error budget of a promise of freshness: for how much of the time a table kept it, and how fast the rest is spent.

A promise is kept while everything that is older than it is in silver. What may be missed is one minus the objective;
a burn rate of 1 spends exactly that over the window, 14.4 a thirtieth of a month's in one hour.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINUTE_S, HOUR_S = 60, 3600
KEPT_S = 24 * HOUR_S
WINDOWS = {"5m": 5 * MINUTE_S, "30m": 30 * MINUTE_S, "1h": HOUR_S, "6h": 6 * HOUR_S, "24h": KEPT_S}
# Burn rate, long and short window: both must burn, so an alarm comes soon and ends soon (Google's SRE workbook, 5).
ALARMS = ((14.4, "1h", "5m"), (6.0, "6h", "30m"))


@dataclass
class Minute:
    """Seconds of one minute (epoch seconds / 60) in which the promise was kept, and was not."""

    at: int
    kept: float = 0.0
    missed: float = 0.0


class Budget:
    """The last 24 hours of one contract, by minute."""

    def __init__(self, minutes: Iterable[Sequence[float]] = ()) -> None:
        self._minutes = deque(Minute(int(at), kept, missed) for at, kept, missed in minutes)

    def add(self, at_s: float, seconds: float, *, kept: bool) -> None:
        """The promise was kept (or not) for so many seconds up to `at_s` (epoch)."""
        while seconds > 0:
            minute = int((at_s - 1e-6) // MINUTE_S)
            inside = min(seconds, at_s - minute * MINUTE_S)
            found = self._minute(minute)
            if found is not None:
                found.kept += inside if kept else 0.0
                found.missed += 0.0 if kept else inside
            at_s, seconds = at_s - inside, seconds - inside
        oldest = (self._minutes[-1].at if self._minutes else 0) - KEPT_S // MINUTE_S
        while self._minutes and self._minutes[0].at <= oldest:
            self._minutes.popleft()

    def kept(self, window_s: float, at_s: float) -> float | None:
        """Share of the watched time of the window in which the promise was kept; None when nothing was watched."""
        first = (at_s - window_s - 1e-6) // MINUTE_S
        inside = [minute for minute in self._minutes if minute.at > first]
        watched = sum(minute.kept + minute.missed for minute in inside)
        return sum(minute.kept for minute in inside) / watched if watched > 0 else None

    def burn(self, window_s: float, at_s: float, objective: float) -> float:
        """How many times faster than allowed the budget was spent. What was not watched spends nothing."""
        first = (at_s - window_s - 1e-6) // MINUTE_S
        missed = sum(minute.missed for minute in self._minutes if minute.at > first)
        return missed / window_s / (1 - objective)

    def burning(self, at_s: float, objective: float) -> str | None:
        """The long window of the alarm that is due, None when none is."""
        for rate, long, short in ALARMS:
            if min(self.burn(WINDOWS[name], at_s, objective) for name in (long, short)) >= rate:
                return long
        return None

    def since(self) -> int | None:
        """From when on it counts (epoch seconds)."""
        return self._minutes[0].at * MINUTE_S if self._minutes else None

    def plain(self) -> list[list[float]]:
        """The minutes, JSON-ready; `Budget(plain)` is the same budget."""
        return [[minute.at, round(minute.kept, 1), round(minute.missed, 1)] for minute in self._minutes]

    def _minute(self, at: int) -> Minute | None:
        """The minute, made when there is none yet; None when it is older than all that is kept."""
        for place in range(len(self._minutes) - 1, -1, -1):
            if self._minutes[place].at == at:
                return self._minutes[place]
            if self._minutes[place].at < at:
                self._minutes.insert(place + 1, Minute(at))
                return self._minutes[place + 1]
        if self._minutes and self._minutes[-1].at - at >= KEPT_S // MINUTE_S:
            return None
        self._minutes.appendleft(Minute(at))
        return self._minutes[0]
