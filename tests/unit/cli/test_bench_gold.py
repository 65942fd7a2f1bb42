"""`caudal bench gold`: what it makes of publications and cycles."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from batch import record
from batch.record import Record
from caudal.cli.bench.gold import MART, Plan, judged
from caudal.lake import Lake
from caudal.settings import Settings
from schemas.manifest import Group, TableVersion, publish

BEGAN = 1_800_000_000_000
SECOND = 1000


def add(lake: Lake, ids: list[int], published_ms: int) -> TableVersion:
    at = pa.array([datetime.fromtimestamp(published_ms / 1000, UTC)] * len(ids), pa.timestamp("us", "UTC"))
    names = [f"e{n}" for n in ids]
    rows = pa.table({"tenant_id": ["bank"] * len(ids), "event_id": names, "published_at": at})
    address = lake.table("gold", MART)
    write_deltalake(address, rows, mode="append")
    opened = DeltaTable(address)
    return TableVersion(f"gold/{MART}", str(opened.metadata().id), opened.version(), 0)


def cycle(lake: Lake, group: str, at_s: int, seconds: dict[str, float], table: TableVersion | None = None) -> None:
    name = f"{at_s:05d}-{group}"
    record.keep(lake, Record(name, group, "published", BEGAN + at_s * SECOND, seconds=seconds))
    publish(lake, group, Group(name, BEGAN + at_s * SECOND, {}, {MART: table} if table else {}))


def test_a_row_is_as_old_as_the_publication_that_shows_it_first(tmp_path: Path) -> None:
    """Rows of before do not count, another group's publication shows nothing new, cycles are summed by group."""
    lake = Lake.open(Settings(data_dir=tmp_path))
    cycle(lake, "live", -20, {"gate": 1.0, "transform": 1.0}, add(lake, [1, 2], BEGAN - 60 * SECOND))
    cycle(lake, "full", -5, {"gate": 100.0})
    cycle(lake, "live", 10, {"gate": 1.0, "transform": 4.0}, add(lake, [3], BEGAN))
    cycle(lake, "full", 15, {"gate": 2.0, "transform": 8.0})
    cycle(lake, "live", 30, {"gate": 1.0, "transform": 6.0}, add(lake, [4, 5], BEGAN + 20 * SECOND))
    found = judged(lake, BEGAN, Plan(rate=1, seconds=3, warm_s=0))
    assert found["event_to_gold_s"] == {"p50": 10.0, "p95": 10.0, "p99": 10.0}
    assert (found["events"], found["events_per_s"]) == (3, 1.0)
    assert found["cycle_s"] == {"live": 6.0, "full": 10.0}
    assert found["cycles"] == {"live": 2, "full": 1}
    assert found["quality_share"] == round(4 / 22, 3)
    assert found["step_s"]["live"] == {"gate": 1.0, "transform": 5.0}
    assert found["ok"]


def test_nothing_published_is_no_measurement(tmp_path: Path) -> None:
    found = judged(Lake.open(Settings(data_dir=tmp_path)), BEGAN, Plan(1, 1, 0))
    assert (found["ok"], found["event_to_gold_s"], found["quality_share"]) == (False, {}, None)
