"""How good the detection is: generated series with faults put in, by a seed; recall and false alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from quality.anomalies.detect import anomalies, kinds_of
from quality.anomalies.seasonal import FIRST, HOLIDAY, WARM_UP, WEEK, Floats, Kinds

BEGIN = date(2025, 9, 1)
# Irregular days that the business knows of; the generator makes them quiet.
HOLIDAYS = frozenset(date(2025, *day) for day in ((9, 7), (10, 12), (11, 2), (11, 15), (12, 25))) | {date(2026, 1, 1)}


@dataclass(frozen=True)
class Fault:
    """What goes wrong: the signal that shows it, its factor on the numbers, and for how many hours."""

    name: str
    signal: str
    factor: float
    hours: int


FAULTS = (
    Fault("outage", "volume", 0.0, 2),
    Fault("half_missing", "volume", 0.5, 6),
    Fault("doubled", "volume", 2.0, 6),
    Fault("flood", "volume", 5.0, 1),
    Fault("delayed", "delay", 5.0, 3),
    Fault("shifted", "mean:amount", 1.5, 4),
    Fault("nulls", "nulls:amount", 8.0, 3),
    Fault("outlier", "max:amount", 100.0, 1),
)
SIGNALS = tuple(dict.fromkeys(fault.signal for fault in FAULTS))


def evaluate(series: int = 40, weeks: int = 26, seed: int = 7) -> dict[str, Any]:
    """Recall over all faults and by fault, and false alarms a series and week, over `series` generated tables.

    Each table has one series a signal, and in each of them every fault of that signal twice, never in the warm-up.
    """
    draw = np.random.default_rng(seed)
    first = (BEGIN - date(1970, 1, 1)) // timedelta(hours=1)
    hours = range(first, first + weeks * WEEK)
    kinds = kinds_of(hours, HOLIDAYS)
    hit = {fault.name: [0, 0] for fault in FAULTS}
    false, judged_weeks = 0, 0.0
    for number in range(series):
        for signal, clean in _table(draw, kinds).items():
            values, placed = _spoil(draw, clean, signal)
            found = [(a.first - first, a.last - first) for a in anomalies(f"t{number}", signal, first, values, kinds)]
            for name, (begin, end) in placed:
                hit[name][0] += any(a <= end and b >= begin for a, b in found)
                hit[name][1] += 1
            # The hour after a fault still belongs to it: two hours in a row may be needed.
            false += sum(not any(a <= end + 1 and b >= begin for _, (begin, end) in placed) for a, b in found)
            judged_weeks += (len(values) - WARM_UP) / WEEK
    caught, all_ = (sum(one[n] for one in hit.values()) for n in (0, 1))
    return {
        "seed": seed,
        "series": series * len(SIGNALS),
        "weeks": weeks,
        "faults": all_,
        "recall": round(caught / all_, 4),
        "recall_by_fault": {name: round(a / b, 4) for name, (a, b) in hit.items()},
        "false_alarms": false,
        "false_alarms_per_series_week": round(false / judged_weeks, 5),
    }


def _table(draw: np.random.Generator, kinds: Kinds) -> Mapping[str, Floats]:
    """The signals of one table: busy by day, quiet at weekends, growing or shrinking, noisy, with special days."""
    n = len(kinds)
    hour, day = np.arange(n) % 24, np.arange(n) // 24 % 7
    shape = 1.0 + draw.uniform(0.4, 0.9) * np.sin((hour - draw.uniform(6, 9)) / 24 * 2 * np.pi)
    shape *= np.where(day >= 5, draw.uniform(0.4, 0.9), 1.0)
    shape *= np.exp(draw.uniform(-0.01, 0.02) * np.arange(n) / WEEK)
    shape *= np.where(kinds == FIRST, draw.uniform(1.2, 2.0), np.where(kinds == HOLIDAY, draw.uniform(0.4, 0.7), 1.0))
    level = np.exp(draw.uniform(np.log(100), np.log(20_000)))
    rate = level * shape * draw.gamma(100, 1 / 100, n) * _wander(draw, n)
    busy = shape / shape.mean()
    return {
        "volume": draw.poisson(rate).astype(np.float64),
        "delay": draw.uniform(1, 60) * busy ** draw.uniform(0, 0.5) * draw.lognormal(0, 0.2, n) * _wander(draw, n),
        "mean:amount": draw.uniform(20, 500)
        * (1 + 0.1 * np.sin(hour / 24 * 2 * np.pi))
        * draw.normal(1, 0.04, n)
        * _wander(draw, n),
        "nulls:amount": np.clip(draw.uniform(1, 5) * draw.normal(1, 0.2, n), 0, 100),
        "max:amount": draw.uniform(500, 5000) * draw.lognormal(0, 0.5, n),
    }


def _wander(draw: np.random.Generator, n: int, step: float = 0.05) -> Floats:
    """A factor that drifts for hours and comes back, as real traffic does: an hour is like the one before it."""
    steps = draw.normal(0, step, n)
    drift = np.zeros(n)
    for hour in range(1, n):
        drift[hour] = 0.8 * drift[hour - 1] + steps[hour]
    found: Floats = np.exp(drift)
    return found


def _spoil(draw: np.random.Generator, clean: Floats, signal: str) -> tuple[Floats, list[tuple[str, tuple[int, int]]]]:
    """The series with each of its faults twice, in days of their own, and where they are (first and last hour)."""
    faults = [fault for fault in FAULTS if fault.signal == signal for _ in range(2)]
    days = draw.choice(np.arange(WARM_UP // 24, len(clean) // 24 - 1, 2), len(faults), replace=False)
    values, placed = clean.copy(), []
    for fault, day in zip(faults, days, strict=True):
        # In business hours, when somebody would miss it.
        begin = int(day) * 24 + int(draw.integers(8, 16))
        values[begin : begin + fault.hours] *= fault.factor
        placed.append((fault.name, (begin, begin + fault.hours - 1)))
    if signal == "volume":
        values = np.round(values)
    return values, placed
