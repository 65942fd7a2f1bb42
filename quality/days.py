"""The history by day: how often each check ran and failed, and which cycles ran. One small file a day.

`_quality/days/<date>.json` holds `{date, checks: {"layer.table:CODE": {severity, runs, failed, ok, observed}},
cycles: {group: [[started_ms, ended_ms, ok]]}}`; a day is a day in UTC. Cycles themselves are kept for half a day, so a
month's report reads these. The process that owns gold is their only writer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from caudal.lake import Lake

FOLDER = "_quality/days"
KEEP_DAYS = 400
"""Days kept: a year and the month before it."""

Day = dict[str, Any]


def load(lake: Lake, day: date) -> Day:
    """What is known of a day; an empty history when nothing is."""
    found: Day = json.loads(lake.read_bytes(_name(day)) or b"{}")
    return {"date": day.isoformat(), "checks": {}, "cycles": {}, **found}


def load_range(lake: Lake, first: date, last: date) -> list[Day]:
    """Those days from `first` to `last` that have a history, oldest first."""
    known = set(_known(lake))
    wanted = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [load(lake, day) for day in wanted if day.isoformat() in known]


def born(lake: Lake) -> date | None:
    """The first day of the history, which began somewhere in its course; None when there is no history."""
    known = _known(lake)
    return date.fromisoformat(known[0]) if known else None


def add_results(lake: Lake, at_ms: int, results: Iterable[Mapping[str, Any]]) -> None:
    """Add the checks of one cycle to their day."""
    _change(lake, at_ms, lambda day: with_results(day, results))


def add_cycle(lake: Lake, group: str, started_ms: int, ended_ms: int, ok: bool) -> None:
    """Add one cycle to the day on which it ended; days that are too old go."""
    _change(lake, ended_ms, lambda day: with_cycle(day, group, started_ms, ended_ms, ok))
    oldest = (day_of(ended_ms) - timedelta(days=KEEP_DAYS)).isoformat()
    for name in lake.list(FOLDER)[:1]:
        if name.rpartition("/")[2] < oldest:
            lake.delete(name)


def with_results(day: Day, results: Iterable[Mapping[str, Any]]) -> Day:
    """The day with one more run of each of these checks."""
    checks = dict(day["checks"])
    for result in results:
        before = checks.get(result["name"], {"runs": 0, "failed": 0})
        checks[result["name"]] = {
            "severity": result["severity"],
            "runs": before["runs"] + 1,
            "failed": before["failed"] + (not result["ok"]),
            "ok": result["ok"],
            "observed": result["observed"] if result["unit"] != "rows" else result["failing"],
        }
    return {**day, "checks": checks}


def with_cycle(day: Day, group: str, started_ms: int, ended_ms: int, ok: bool) -> Day:
    """The day with one more cycle."""
    cycles = {**day["cycles"], group: [*day["cycles"].get(group, []), [started_ms, ended_ms, ok]]}
    return {**day, "cycles": cycles}


def day_of(ms: int) -> date:
    """The day in UTC of a time in epoch milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).date()


def _known(lake: Lake) -> list[str]:
    return [name.rpartition("/")[2].removesuffix(".json") for name in lake.list(FOLDER)]


def _change(lake: Lake, at_ms: int, change: Any) -> None:
    day = day_of(at_ms)
    data = json.dumps(change(load(lake, day)), separators=(",", ":")).encode()
    lake.write_atomic(_name(day), data)


def _name(day: date) -> str:
    return f"{FOLDER}/{day.isoformat()}.json"
