"""Promises from histories: literal days in, exact figures out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from caudal.clock import FixedClock
from caudal.lake import LocalLake
from caudal.metrics import Metrics, Sample, Snapshot
from quality import days, uptime
from quality.marts import Mart
from quality.service import Records, Report, availability, report

DAY_1 = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp() * 1000)
HOUR = 3_600_000
MART = Mart("revenue", "full", "", {}, (), deadline_s=6 * 3600)
LATENCY = {"name": "silver.o:LATENCY", "severity": "warning", "unit": "share", "failing": None}


def history(tmp_path: Path) -> LocalLake:
    """Two days: on the first the full group is in time, on the second it is late, and a check fails once."""
    lake = LocalLake(str(tmp_path))
    days.add_cycle(lake, "full", DAY_1 + 5 * HOUR, DAY_1 + 5 * HOUR + 10_000, True)
    days.add_cycle(lake, "full", DAY_1 + 9 * HOUR, DAY_1 + 9 * HOUR + 30_000, False)
    days.add_cycle(lake, "full", DAY_1 + 30 * HOUR, DAY_1 + 30 * HOUR + 20_000, True)
    days.add_results(lake, DAY_1, [{**LATENCY, "ok": True, "observed": 1.0}])
    days.add_results(lake, DAY_1 + 25 * HOUR, [{**LATENCY, "ok": False, "observed": 0.5}])
    return lake


def made(lake: LocalLake, now_ms: int) -> Report:
    listed = days.load_range(lake, days.day_of(DAY_1), days.day_of(DAY_1 + 24 * HOUR))
    tallies = {"2026-03-01": {"api": {"watched": 1440.0, "good": 1436.4, "requests": 400.0, "errors": 1.0}}}
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    return report("2026-03", listed, tallies, [MART], Records(10, 6, 1, 2, 1), 0.9995, now)


def test_cycles_promises_and_budget_add_up(tmp_path: Path) -> None:
    """Success rate, cycle times, deadlines by day, latency by check, and the burn of the error budget."""
    found = made(history(tmp_path), DAY_1 + 48 * HOUR)
    [full] = found.cycles
    assert (full.published, full.failed, full.success) == (2, 1, pytest.approx(2 / 3))
    assert full.seconds == {"p50": 20.0, "p95": 20.0, "p99": 20.0}
    deadline, latency = found.promises
    assert (deadline.promise, deadline.kept, deadline.missed_on) == ("by 06:00 UTC", 1, ("2026-03-02",))
    assert (latency.what, latency.kept, latency.missed_on) == ("silver.o", 1, ("2026-03-02",))
    api = next(one for one in found.availability if one.component == "api")
    assert (api.availability, api.burn_rate, api.ok) == (0.9975, 5.0, False)
    gold = next(one for one in found.availability if one.component == "gold")
    assert (gold.availability, gold.ok) == (None, None)
    assert found.record()["records"]["missed"] == 0
    assert [(line["published"], line["failed"]) for line in found.days] == [(1, 1), (1, 0)]


def test_a_deadline_that_has_not_come_is_not_judged(tmp_path: Path) -> None:
    """At five in the morning of the second day nothing has been missed yet."""
    deadline = made(history(tmp_path), DAY_1 + 29 * HOUR).promises[0]
    assert (deadline.kept, deadline.missed) == (1, 0)


def snapshot(process: str, at: float, **answers: float) -> Snapshot:
    counters = [
        Sample("caudal_api_requests_total", n, {"route": "/v1/gold", "status": status[1:]})
        for status, n in answers.items()
    ]
    return Snapshot(process, 1, at, True, counters)


def test_a_silent_process_is_not_there() -> None:
    """Old snapshots and missing processes are not ready."""
    found = uptime.look([snapshot("web", 100.0), snapshot("scorer", 50.0)], 100.0, published=True)
    assert {name for name, seen in found.items() if seen.ready} == {"intake", "api", "gold"}


def test_a_minute_is_as_good_as_its_answers() -> None:
    """Errors count by requests; counters of a process that began anew are not negative; absence is a bad minute."""
    first = uptime.look([snapshot("web", 0.0, s200=90, s503=10)], 0.0, published=True)
    tally = uptime.add({}, {}, first)
    second = uptime.look([snapshot("web", 0.0, s200=165, s503=35)], 0.0, published=True)
    tally = uptime.add(tally, first, second)
    assert tally["api"] == {"watched": 2.0, "good": 1.75, "requests": 100.0, "errors": 25.0}
    anew = uptime.look([snapshot("web", 0.0, s200=10)], 0.0, published=True)
    tally = uptime.add(tally, second, anew)
    assert tally["api"] == {"watched": 3.0, "good": 2.75, "requests": 110.0, "errors": 25.0}
    gone = uptime.look([], 0.0, published=True)
    assert uptime.add(tally, anew, gone)["api"]["good"] == 2.75
    assert availability("api", [uptime.add(tally, anew, gone)], 0.9995).availability == 0.6875


def test_the_watch_writes_the_day_down(tmp_path: Path) -> None:
    """Looks add up in the lake, also over a restart."""
    lake = LocalLake(str(tmp_path / "lake"))
    metrics = Metrics("web", tmp_path / "metrics")
    (tmp_path / "metrics").mkdir()
    metrics.ready()
    metrics.flush()
    at = read_at(tmp_path / "metrics" / "web.json")
    for _ in range(2):
        uptime.Watch(lake, tmp_path / "metrics", FixedClock(int(at * 1000))).once()
    tally = uptime.load(lake, days.day_of(int(at * 1000)).isoformat())
    assert (tally["api"]["watched"], tally["api"]["good"], tally["gold"]["good"]) == (2.0, 2.0, 0.0)


def read_at(file: Path) -> float:
    import json

    return float(json.loads(file.read_text())["at"])
