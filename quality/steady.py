"""What a measure was: the past that a moving baseline is made of.

`_quality/history/steady.json` of the lake holds the last numbers of each measure, oldest first, of cycles that passed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from caudal.lake import Lake

FILE = "_quality/history/steady.json"
KEPT = 200
"""Numbers kept of each measure."""
ENOUGH = 20
"""With fewer numbers nobody knows yet what is usual."""
Bounds = tuple[float | None, float | None]
# A normal distribution's standard deviation is this many median absolute deviations.
_MAD = 1.4826
# A measure that hardly moves must not fail for its last digits.
_FLOOR = 0.01


def around(past: Sequence[float], deviations: float) -> Bounds:
    """Bounds this many robust deviations around the median of the past; open while the past is short.

    Median and median absolute deviation: one bad cycle among the past does not widen them. A deviation counts at least
    a hundredth of the median.
    """
    if len(past) < ENOUGH:
        return (None, None)
    middle = median(past)
    spread = max(_MAD * median(abs(one - middle) for one in past), _FLOOR * abs(middle))
    return (middle - deviations * spread, middle + deviations * spread)


class Steady:
    """The past of all measures of one lake, read when it is asked for."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def bounds(self, deviations: Mapping[str, float]) -> dict[str, Bounds]:
        """Bounds now of measures by name, `layer.table:CODE`."""
        past = load(self._lake) if deviations else {}
        return {name: around(past.get(name, ()), many) for name, many in deviations.items()}


def load(lake: Lake) -> dict[str, list[float]]:
    """The past by measure, oldest first."""
    found: dict[str, list[float]] = json.loads(lake.read_bytes(FILE) or b"{}")
    return found


def remember(lake: Lake, numbers: Iterable[tuple[str, float]]) -> None:
    """Add the numbers of a cycle that passed."""
    past: Mapping[str, list[float]] = load(lake)
    new: dict[str, list[float]] = {}
    for name, number in numbers:
        new[name] = [*new.get(name, past.get(name, [])), round(number, 6)][-KEPT:]
    if new:
        lake.write_atomic(FILE, json.dumps({**past, **new}, separators=(",", ":")).encode())
