"""Rates of the road: rows per second by stage, over a window that is short enough to move and long enough to read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

# Batches come every two to five seconds; a rate over less would jump between zero and twice the truth.
WINDOW_S = 12.0
# Points of a curve: two minutes at one state every two seconds.
POINTS = 60


class Road:
    """Remembers counters of the last moments and makes rates of them."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}
        self._curves: dict[str, deque[float]] = {}

    def step(self, stages: Iterable[Mapping[str, Any]], at: float) -> list[dict[str, Any]]:
        """The stages of `serving.api.status.stages` with `rate` (rows/s, None when unknown) and `curve`."""
        return [{**stage, **self._rated(str(stage["stage"]), stage["rows"], at)} for stage in stages]

    def _rated(self, name: str, rows: int | None, at: float) -> dict[str, Any]:
        curve = self._curves.setdefault(name, deque(maxlen=POINTS))
        if rows is None:
            return {"rate": None, "curve": list(curve)}
        seen = self._seen.setdefault(name, deque())
        if seen and rows < seen[-1][1]:
            seen.clear()  # a process began again and counts from zero
        seen.append((at, rows))
        while len(seen) > 2 and seen[0][0] < at - WINDOW_S:
            seen.popleft()
        (since, before), (until, after) = seen[0], seen[-1]
        rate = round((after - before) / (until - since), 1) if until > since else None
        if rate is not None:
            curve.append(rate)
        return {"rate": rate, "curve": list(curve)}
