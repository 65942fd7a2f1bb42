"""What is usual for an hour, and how far a number lies from it. Pure numpy; the past only, never the future.

The expected number of an hour is the median of the same hour of the eight weeks before, moved by the median difference
of the last seven days (the level), and on special days by what such days brought before. Medians, so that neither an
anomaly nor a holiday among the past counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WEEK = 168
"""Hours."""
WEEKS = 8
"""Weeks that an hour is compared with."""
WARM_UP = 3 * WEEK
"""Hours without a verdict: with less past nobody knows the week."""
USUAL, FIRST, HOLIDAY = 0, 1, 2
"""Kinds of days."""
_MAD = 1.4826
# Logarithms: a twentieth up or down is never remarkable, however regular a series was.
_FLOOR = 0.05
# A special day that has no example yet may be anything up to this factor.
_UNKNOWN = 4.0
# Hours of earlier special days that say what such days are like: the last three days of the kind.
_EXAMPLES = 72

Floats = NDArray[np.float64]
Kinds = NDArray[np.int8]


def scores(values: Floats, kinds: Kinds, *, counts: bool = False) -> Floats:
    """How many deviations each hour lies above (or below) what was to be expected; nan while nobody knows.

    `values` are numbers of consecutive hours, at least 0, nan where there was none; `kinds` the kinds of their days.
    `counts`: the numbers are counts, so that a small one may vary by its square root.
    """
    x = np.log1p(values)
    season = _season(x, kinds)
    residual = x - season
    usual = np.where(kinds == USUAL, residual, np.nan)
    residual = residual - _past_median(usual, WEEK)
    plain = np.where(kinds == USUAL, residual, np.nan)
    spread = np.fmax(_MAD * _past_median(np.abs(plain), WEEKS * WEEK), _FLOOR)
    if counts:
        spread = np.fmax(spread, 1.0 / np.sqrt(np.expm1(np.fmax(season, 0.0)) + 1.0))
    for kind in (FIRST, HOLIDAY):
        residual, spread = _special(residual, spread, kinds == kind)
    found: Floats = residual / spread
    found[:WARM_UP] = np.nan
    return found


def _season(x: Floats, kinds: Kinds) -> Floats:
    """The median of the same hour in the weeks before, special days left out."""
    clean = np.where(kinds == USUAL, x, np.nan)
    lags = np.full((WEEKS, len(x)), np.nan)
    for week in range(1, WEEKS + 1):
        lags[week - 1, week * WEEK :] = clean[: max(0, len(x) - week * WEEK)]
    return _nanmedian(lags.T)


def _past_median(x: Floats, hours: int) -> Floats:
    """The median of the hours before each one; in steps of six hours, which is often enough for a level."""
    padded = np.concatenate([np.full(hours, np.nan), x])
    windows = np.lib.stride_tricks.sliding_window_view(padded, hours)[: len(x) : 6]
    return np.repeat(_nanmedian(windows), 6)[: len(x)]


def _special(residual: Floats, spread: Floats, here: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Residuals of special days without what earlier days of the kind brought; the first such day may be anything."""
    residual, spread = residual.copy(), spread.copy()
    places = np.flatnonzero(here)
    if not len(places):
        return residual, spread
    original = residual[places].copy()
    days = np.flatnonzero(np.diff(places, prepend=-2) > 1).tolist()
    for begin, end in zip(days, [*days[1:], len(places)], strict=True):
        examples = original[max(0, begin - _EXAMPLES) : begin]
        examples = examples[np.isfinite(examples)]
        if len(examples) >= 12:
            residual[places[begin:end]] -= np.median(examples)
            spread[places[begin:end]] *= 2.0
        else:
            spread[places[begin:end]] = np.fmax(spread[places[begin:end]], np.log(_UNKNOWN) / 3.0)
    return residual, spread


def _nanmedian(rows: Floats) -> Floats:
    """The median of each row over its numbers; nan for a row without any."""
    ordered = np.sort(rows, axis=1)
    n = np.isfinite(ordered).sum(axis=1)
    last = np.maximum(n - 1, 0)
    index = np.arange(len(ordered))
    found: Floats = (ordered[index, last // 2] + ordered[index, (last + 1) // 2]) / 2.0
    found[n == 0] = np.nan
    return found
