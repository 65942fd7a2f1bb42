"""A moving baseline: robust, open while it knows little, and kept by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.lake import LocalLake
from quality.steady import ENOUGH, KEPT, Steady, around, load, remember

NUMBERS = st.floats(-1e9, 1e9)


def test_a_short_past_says_nothing() -> None:
    """The first cycles cannot fail for being different."""
    assert around([1.0] * (ENOUGH - 1), 6) == (None, None)


@given(st.lists(NUMBERS, min_size=ENOUGH, max_size=60), st.randoms())
def test_the_order_of_the_past_does_not_matter(past: list[float], random: object) -> None:
    """Bounds enclose the median, whatever the order."""
    shuffled = sorted(past)
    assert around(past, 6) == around(shuffled, 6)
    low, high = around(past, 6)
    assert low is not None
    assert high is not None
    assert low <= sorted(past)[len(past) // 2] or low <= sorted(past)[len(past) // 2 - 1] <= high


@given(NUMBERS)
def test_one_bad_cycle_does_not_widen_the_bounds(bad: float) -> None:
    """Median and median deviation: an outlier among the past leaves them nearly where they were."""
    past = [100.0 + n % 5 for n in range(40)]
    _, high = around([*past, bad], 6)
    assert high is not None
    assert high == pytest.approx(around(past, 6)[1], rel=0.15)


def test_the_past_is_bounded_and_by_measure(tmp_path: Path) -> None:
    """Old numbers go; another measure is untouched."""
    lake = LocalLake(str(tmp_path))
    remember(lake, [("a", float(n)) for n in range(KEPT + 5)])
    remember(lake, [("b", 1.0)])
    assert (len(load(lake)["a"]), load(lake)["a"][0], load(lake)["b"]) == (KEPT, 5.0, [1.0])
    assert Steady(lake).bounds({"b": 6}) == {"b": (None, None)}
