"""Cycle records survive a kill at any point and say what is open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from batch import record
from batch.record import Built, Record
from caudal.clock import FixedClock
from caudal.lake import LocalLake

RECORD = Record(
    cycle="20260301T000000000-live",
    group="live",
    state="passed",
    started_ms=1,
    inputs=("commerce_order",),
    silver_versions={"commerce_order": 7},
    tables={"fct_orders": Built(3, "id", 10)},
    failed=("x",),
)


def test_a_record_reads_back_as_written(tmp_path: Path) -> None:
    """Nothing is lost between two processes."""
    lake = LocalLake(str(tmp_path))
    record.save(lake, RECORD)
    assert record.load(lake, RECORD.cycle) == RECORD


def test_a_cycle_is_open_until_it_is_published_or_restored(tmp_path: Path) -> None:
    """The pointer leads to the cycle that a killed process left, and is gone once the cycle is closed."""
    lake = LocalLake(str(tmp_path))
    record.save(lake, RECORD)
    assert record.load_open(lake, "live") == RECORD
    assert record.load_open(lake, "full") is None
    record.save(lake, record.close(RECORD, "published"))
    assert record.load_open(lake, "live") is None


def test_cycle_ids_sort_by_time() -> None:
    """Records can be listed in order without opening them."""
    clock = FixedClock(1_772_323_200_000)
    first = record.new_cycle(clock, "live")
    clock.advance(1)
    assert first == "20260301T000000000-live"
    assert first < record.new_cycle(clock, "full")


def test_pruning_keeps_the_newest_and_what_the_manifest_needs(tmp_path: Path) -> None:
    """The record of a published cycle stays, however old it is."""
    lake = LocalLake(str(tmp_path))
    cycles = [f"2026030{day}T000000000-live" for day in range(1, 6)]
    for cycle in cycles:
        record.save(lake, replace(RECORD, cycle=cycle, state="published"))
    assert record.prune(lake, keep=2, needed=frozenset({cycles[0]})) == 2
    assert [cycles[0], cycles[3], cycles[4]] == [c for c in cycles if record.load(lake, c)]
