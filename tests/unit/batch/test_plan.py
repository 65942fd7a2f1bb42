"""Which publish groups are due."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from batch.plan import Due, State, due

PACE = {"live_since_full": 0, "seconds_since_full": 0.0, "full_every": 5, "full_after_s": 240.0}


def _due(live: Mapping[str, int] | None, full: Mapping[str, int] | None, heads: Mapping[str, int], **pace: float):
    states = {"live": State(("orders",), live), "full": State(("orders", "accounts"), full)}
    return due(states, heads, **{**PACE, **pace})  # type: ignore[arg-type]


def test_nothing_is_due_before_silver_exists() -> None:
    """An empty lake waits, and so do tables that were just created."""
    assert _due(None, None, {}) == ()
    assert _due(None, None, {"orders": 0}) == ()


def test_the_first_cycle_runs_both_groups() -> None:
    """As soon as one input is there both groups are published, so that a newcomer sees all marts."""
    assert (Due("live", "first"), Due("full", "first")) == _due(None, None, {"orders": 1})


def test_a_group_whose_inputs_stand_still_is_skipped() -> None:
    """No cycle runs when no silver version of the group moved."""
    assert _due({"orders": 3}, {"orders": 3, "accounts": 1}, {"orders": 3, "accounts": 1, "other": 9}) == ()


def test_live_runs_whenever_an_input_moved() -> None:
    """Live does not wait; full does."""
    assert (Due("live", "moved"),) == _due({"orders": 3}, {"orders": 3}, {"orders": 4})


@pytest.mark.parametrize("pace", [{"live_since_full": 5}, {"seconds_since_full": 240.0}])
def test_full_runs_after_so_many_live_cycles_or_seconds(pace: dict[str, float]) -> None:
    """Whichever comes first."""
    assert Due("full", "moved") in _due({"orders": 4}, {"orders": 3}, {"orders": 4}, **pace)


def test_a_table_that_appears_later_is_news() -> None:
    """An input that did not exist at the last cycle counts as moved when it does."""
    found = _due({"orders": 3}, {"orders": 3}, {"orders": 3, "accounts": 0}, live_since_full=5)
    assert (Due("full", "moved"),) == found


def test_the_first_full_cycle_lets_the_live_one_go_first() -> None:
    """Rows for the full group alone do not delay the first live gold, but they do not wait for ever either."""
    assert _due(None, None, {"accounts": 3}) == ()
    assert (Due("full", "first"),) == _due(None, None, {"accounts": 3}, seconds_since_full=240.0)
    assert (Due("full", "first"),) == _due({"orders": 1}, None, {"orders": 1, "accounts": 3})
