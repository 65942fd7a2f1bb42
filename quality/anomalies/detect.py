"""From scores to alarms: few, and each with the hours it covers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np

from quality.anomalies.seasonal import FIRST, HOLIDAY, USUAL, Floats, Kinds, scores

AT_ONCE = 6.0
"""Deviations at which one hour alone is an alarm."""
TWICE = 3.0
"""Deviations at which two hours in a row are one."""
COUNTED = ("volume",)
ONLY_HIGH = ("delay", "max", "nulls")
"""Signals of which less is no trouble."""


@dataclass(frozen=True)
class Anomaly:
    """Hours in a row in which a signal was not as usual. `first` and `last` are epoch hours; `score` the largest."""

    table: str
    signal: str
    first: int
    last: int
    score: float
    observed: float

    @property
    def began(self) -> str:
        return datetime.fromtimestamp(self.first * 3600, UTC).isoformat()


def kinds_of(hours: range, holidays: Collection[date]) -> Kinds:
    """The kind of day that each epoch hour belongs to; a holiday is one even on the first of a month."""
    days: dict[int, int] = {}
    for day in {hour // 24 for hour in hours}:
        when = datetime.fromtimestamp(day * 86_400, UTC).date()
        days[day] = HOLIDAY if when in holidays else FIRST if when.day == 1 else USUAL
    return np.array([days[hour // 24] for hour in hours], dtype=np.int8)


def anomalies(table: str, signal: str, first_hour: int, values: Floats, kinds: Kinds) -> Iterator[Anomaly]:
    """The alarms of one series of consecutive hours that begins with epoch hour `first_hour`."""
    name = signal.partition(":")[0]
    found = scores(values, kinds, counts=name in COUNTED)
    score = np.nan_to_num(found, nan=0.0)
    if name in ONLY_HIGH:
        score = np.maximum(score, 0.0)
    before = np.concatenate([[0.0], score[:-1]])
    both = (np.abs(score) >= TWICE) & (np.abs(before) >= TWICE) & (np.sign(score) == np.sign(before))
    flagged = np.flatnonzero((np.abs(score) >= AT_ONCE) | both)
    if not len(flagged):
        return
    # A quiet hour in between does not make a second alarm of one trouble.
    for run in np.split(flagged, np.flatnonzero(np.diff(flagged) > 2) + 1):
        worst = run[np.argmax(np.abs(score[run]))]
        yield Anomaly(
            table,
            signal,
            first_hour + int(run[0]),
            first_hour + int(run[-1]),
            float(score[worst]),
            float(values[worst]),
        )
