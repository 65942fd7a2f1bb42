"""What is said about time: up to when a table is complete, error budgets, the end of a backlog, sizes of batches."""

from __future__ import annotations

import pytest

from streaming.budget import Budget
from streaming.freshness import ValidThrough
from streaming.lag import behind, furthest
from streaming.progress import Progress
from streaming.raw import TopicPart
from streaming.sizes import MB, UNSEEN_BYTES, column_rows, most_records, observed

NOW = 1_000_000_000
HOUR, DAY = 3600, 86_400


def test_a_table_is_as_complete_as_its_slowest_partition() -> None:
    """Known when each partition has told; a partition read to its end holds nothing back; no time beyond now counts."""
    table = ValidThrough()
    assert table.ms() is None
    table.committed({0: NOW - 9000}, NOW)
    table.looked({0: 5, 1: 7}, {0: 4}, NOW)
    assert table.ms() is None
    table.committed({1: NOW - 5000}, NOW)
    table.looked({0: 5, 1: 7}, {}, NOW)
    assert table.ms() == NOW - 9000
    table.looked({0: 5, 1: 7}, {0: 5, 1: 3}, NOW)
    assert table.ms() == NOW - 5000
    table.looked({0: 5, 1: 7}, {0: 5, 1: 7}, NOW + 1000)
    assert table.ms() == NOW + 1000
    table.committed({0: 4_070_908_800_000}, NOW + 2000)
    table.committed({1: NOW - 60_000}, NOW + 2000)
    assert table.ms() == NOW + 1000


def test_an_empty_partition_holds_nothing_back() -> None:
    """Its end is its beginning."""
    table = ValidThrough()
    table.looked({0: 0}, {}, NOW)
    assert table.ms() == NOW


def test_a_budget_counts_time_by_window() -> None:
    """Six bad minutes in an hour are a tenth of it and ten times what one percent allows; a day forgives them."""
    budget = Budget()
    at = 100 * DAY
    budget.add(at, DAY - 360, kept=True)
    budget.add(at + 360, 360, kept=False)
    now = at + 360
    assert budget.kept(HOUR, now) == pytest.approx(0.9)
    assert budget.burn(HOUR, now, 0.99) == pytest.approx(10)
    assert budget.burn(DAY, now, 0.99) == pytest.approx(360 / DAY / 0.01)
    assert Budget(budget.plain()).kept(DAY, now) == pytest.approx(budget.kept(DAY, now))
    assert budget.kept(HOUR, now + 2 * DAY) is None


def test_an_alarm_needs_both_windows() -> None:
    """It comes after nine bad minutes and goes soon after the table is fresh again; the hour still remembers."""
    budget, at = Budget(), 100 * DAY
    budget.add(at, HOUR, kept=True)
    budget.add(at + 300, 300, kept=False)
    assert budget.burning(at + 300, 0.99) is None
    budget.add(at + 540, 240, kept=False)
    assert budget.burning(at + 540, 0.99) == "1h"
    budget.add(at + 900, 360, kept=True)
    assert budget.burning(at + 900, 0.99) is None
    assert budget.burn(HOUR, at + 900, 0.99) > 14


def test_late_news_lands_in_its_own_minutes() -> None:
    """Time in which nobody watched is added behind; older than a day counts no more, and nothing is kept of it."""
    budget, at = Budget(), 100 * DAY
    budget.add(at, 60, kept=True)
    budget.add(at - 120, 60, kept=False)
    budget.add(at - 3 * DAY, 60, kept=False)
    assert budget.kept(HOUR, at) == pytest.approx(0.5)
    assert budget.since() == at - 180
    budget.add(at + 2 * DAY, 60, kept=True)
    assert len(budget.plain()) == 1


def test_a_backlog_has_an_end() -> None:
    """Rate and end follow from the looks of the last minute; an end that runs away is not made up."""
    progress = Progress()
    assert progress.look(0, 0, 10_000).eta_s is None
    found = progress.look(10, 4_000, 11_000)
    assert (found.left, found.per_s) == (7_000, 400)
    assert found.eta_s == pytest.approx(7_000 / 300)
    assert progress.look(20, 4_500, 22_000).eta_s is None
    assert progress.look(30, 22_000, 22_000).eta_s == 0
    assert progress.look(40, 10, 20).per_s == 0


def test_transaction_markers_are_no_backlog() -> None:
    """What a finished batch planned counts as read, beyond raw's last record; an unread partition counts whole."""
    raw, planned = {"t": {0: 8, 1: 3}}, {"t": {0: 10, 1: 2}}
    assert furthest(raw, planned) == {"t": {0: 10, 1: 3}}
    assert behind({"t": {0: 10, 1: 3, 2: 4}}, furthest(raw, planned)) == {"t": 4}


def test_batches_are_bounded_by_what_was_seen() -> None:
    """The mean of the waiting topics decides, by their shares; what nobody has seen is taken for large."""
    sizes = {"small": 100, "large": 100_000}
    assert most_records(sizes, {"small": 1000}, 64 * MB, 50_000) == 50_000
    assert most_records(sizes, {"large": 1000}, 64 * MB, 50_000) == 640
    assert most_records(sizes, {"small": 999, "large": 1}, 64 * MB, 50_000) == 50_000
    assert most_records(sizes, {"small": 500, "large": 500}, 64 * MB, 50_000) == 1278
    assert most_records(sizes, {"new": 10}, 64 * MB, 50_000) == 64 * MB // UNSEEN_BYTES
    assert most_records(sizes, {}, 64 * MB, 50_000) == 640
    assert most_records({"huge": 10**9}, {"huge": 3}, 64 * MB, 50_000) == 1


def test_large_records_are_remembered_for_a_while() -> None:
    """The mean of the newest batch, or what was known before, faded; topics without records keep theirs."""
    sizes = observed({"a": 1000, "b": 7}, {"a": TopicPart({1: 4}, {}, {}, bytes=401)})
    assert sizes == {"a": 900, "b": 7}
    assert observed(sizes, {"a": TopicPart({1: 2}, {}, {}, bytes=40_000)})["a"] == 20_000


def test_readers_of_raw_hold_bounded_columns() -> None:
    """Rows times their size stay near 16 MB."""
    assert [column_rows(size) for size in (0, 300, 100_000, 20 * MB)] == [4096, 4096, 160, 1]
