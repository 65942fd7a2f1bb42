"""The packed state and its reference rebuild."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.features import state
from serving.features.spec import DAY_MS

records = st.builds(
    state.pack_event,
    st.integers(1, 60 * DAY_MS),
    st.integers(0, 2**48 - 1),
    st.integers(0, state.MAX_CENTS),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)


@given(st.lists(records, max_size=40), st.randoms(), st.integers(1, 20))
def test_rebuild_depends_on_the_set_only(items, random, cap):
    """Order and duplicates never change a byte."""
    once = state.rebuild(items, keep_ms=31 * DAY_MS, cap=cap)
    again = [*items, *items]
    random.shuffle(again)
    assert state.rebuild(again, keep_ms=31 * DAY_MS, cap=cap) == once


@given(st.lists(records, max_size=40))
def test_columns_are_the_numbers_that_were_packed(items):
    """The structured array reads what `pack_event` wrote, at the extremes too."""
    packed = state.rebuild(items, keep_ms=90 * DAY_MS, cap=1000)
    rows = state.events(packed)
    read = [
        state.pack_event(ms, event, int(r["cents"]), int(r["a"]), int(r["b"]))
        for r, ms, event in zip(rows, state.u48(rows, "ms").tolist(), state.u48(rows, "id").tolist(), strict=True)
    ]
    assert state.records(packed) == read


def test_horizon_is_the_newest_record_that_is_gone():
    """What a cap pushes out is told by the horizon."""
    items = [state.pack_event(ms, ms, 1, 0, 0) for ms in (10, 20, 30)]
    head = state.header(state.rebuild(items, keep_ms=DAY_MS, cap=2))
    assert head == state.Header(version=1, n=2, horizon=10, born=0)


def test_the_larger_content_stays():
    """Two contents under one time and id leave the larger one."""
    small, large = (state.pack_event(10, 7, cents, 0, 0) for cents in (5, 9))
    assert state.records(state.rebuild([large, small], keep_ms=DAY_MS, cap=5)) == [large]


def test_amounts_beyond_the_layout_are_an_error():
    """A value that does not fit is refused, never cut."""
    with pytest.raises(Exception, match="format requires"):
        state.pack_event(1, 1, state.MAX_CENTS + 1, 0, 0)
