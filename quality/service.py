"""Were promises kept: the service-level report of some days, from histories alone. Pure.

Availability is the good part of the watched minutes, measured against `objective`. The burn rate says how many times
faster than allowed the error budget was spent: (1 - availability) / (1 - objective); 1 spends it exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from quality.days import Day
from quality.marts import Mart

COMPONENTS = ("intake", "api", "gold", "scoring", "batch")


@dataclass(frozen=True)
class Cycles:
    """One group's cycles. `seconds` are quantiles over the published ones; `success` is null when none ran."""

    group: str
    published: int
    failed: int
    success: float | None
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Availability:
    """One component. Minutes are watched ones; null where nobody looked."""

    component: str
    watched_minutes: float
    availability: float | None
    burn_rate: float | None
    ok: bool | None
    requests: float
    errors: float


@dataclass(frozen=True)
class Promise:
    """One promise and how often it was kept: of days for a deadline, of checks for freshness and latency."""

    kind: str
    what: str
    promise: str
    kept: int
    missed: int
    missed_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Records:
    """What became of the records that were read. `missed` are those that nobody can account for."""

    read: int = 0
    applied: int = 0
    repeated: int = 0
    refused: int = 0
    waiting: int = 0

    @property
    def missed(self) -> int:
        return self.read - self.applied - self.repeated - self.refused - self.waiting


@dataclass(frozen=True)
class Report:
    """The report of a period, `2026-11-28` or `2026-11`."""

    period: str
    objective: float
    cycles: tuple[Cycles, ...]
    availability: tuple[Availability, ...]
    promises: tuple[Promise, ...]
    records: Records
    days: tuple[Mapping[str, Any], ...] = field(default=())

    def record(self) -> dict[str, Any]:
        """The report as JSON-ready facts."""
        return {**asdict(self), "records": {**asdict(self.records), "missed": self.records.missed}}


def report(
    period: str,
    days: Sequence[Day],
    tallies: Mapping[str, Mapping[str, Mapping[str, float]]],
    marts: Iterable[Mart],
    records: Records,
    objective: float,
    now: datetime,
    born: date | None = None,
) -> Report:
    """The report of a period. `days` are its histories, `tallies` its uptime by date; `now` decides which deadlines
    have passed, and none is judged on the day that the whole history began (`born`)."""
    return Report(
        period=period,
        objective=objective,
        cycles=tuple(_cycles(group, days) for group in sorted({g for day in days for g in day["cycles"]})),
        availability=tuple(availability(name, tallies.values(), objective) for name in COMPONENTS),
        promises=(
            *_deadlines([day for day in days if born is None or day["date"] != born.isoformat()], marts, now),
            *_checked(days),
        ),
        records=records,
        days=tuple(_line(day, tallies.get(day["date"], {}), objective) for day in days),
    )


def availability(name: str, tallies: Iterable[Mapping[str, Mapping[str, float]]], objective: float) -> Availability:
    """One component over some tallies."""
    found = [tally[name] for tally in tallies if name in tally]
    watched, good, requests, errors = (
        sum(one[key] for one in found) for key in ("watched", "good", "requests", "errors")
    )
    if not watched:
        return Availability(name, 0.0, None, None, None, 0.0, 0.0)
    share = good / watched
    burn = (1 - share) / (1 - objective)
    return Availability(name, watched, round(share, 6), round(burn, 3), share >= objective, requests, errors)


def quantile(values: Iterable[float], q: float) -> float:
    """The nearest-rank quantile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0


def _cycles(group: str, days: Iterable[Day]) -> Cycles:
    listed = [one for day in days for one in day["cycles"].get(group, ())]
    seconds = [(ended - started) / 1000 for started, ended, ok in listed if ok]
    share = len(seconds) / len(listed) if listed else None
    spread = {f"p{int(q * 100)}": round(quantile(seconds, q), 3) for q in (0.5, 0.95, 0.99)}
    return Cycles(group, len(seconds), len(listed) - len(seconds), share, spread)


def _deadlines(days: Sequence[Day], marts: Iterable[Mart], now: datetime) -> Iterable[Promise]:
    """A deadline is kept when a cycle that began on the day, and so holds all of the day before, is published in time.

    Silver that stands still starts no cycle; a day without a single cycle until its deadline counts as missed all the
    same, since nothing shows that the mart was complete.
    """
    for mart in marts:
        if mart.deadline_s is None:
            continue
        due = {day["date"]: _midnight(day["date"]) + timedelta(seconds=mart.deadline_s) for day in days}
        passed = [day for day in days if due[day["date"]] <= now]
        missed = [
            day["date"]
            for day in passed
            if not any(
                ok and ended / 1000 <= due[day["date"]].timestamp() and started / 1000 >= _at(day)
                for started, ended, ok in day["cycles"].get(mart.group, ())
            )
        ]
        by = f"by {due[passed[0]['date']]:%H:%M} UTC" if passed else "by its deadline"
        yield Promise("deadline", mart.name, by, len(passed) - len(missed), len(missed), tuple(missed))


def _checked(days: Iterable[Day]) -> Iterable[Promise]:
    """Freshness and latency are checks of the gate; each run of one is a promise kept or missed."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for day in days:
        for name, check in day["checks"].items():
            if ":LATENCY" in name or ":FRESH:" in name:
                found.setdefault(name, []).append((day["date"], check["runs"], check["failed"]))
    for name, runs in sorted(found.items()):
        table, _, code = name.partition(":")
        failed = sum(bad for *_, bad in runs)
        missed_on = tuple(day for day, _, bad in runs if bad)
        kind = "latency" if code == "LATENCY" else "freshness"
        yield Promise(kind, table, code, sum(n for _, n, _ in runs) - failed, failed, missed_on)


def _line(day: Day, tally: Mapping[str, Mapping[str, float]], objective: float) -> Mapping[str, Any]:
    """One day's figures, for the table of a month."""
    listed = [one for cycles in day["cycles"].values() for one in cycles]
    return {
        "date": day["date"],
        "published": sum(bool(ok) for *_, ok in listed),
        "failed": sum(not ok for *_, ok in listed),
        "failed_checks": sum(check["failed"] for check in day["checks"].values()),
        "availability": {name: availability(name, [tally], objective).availability for name in COMPONENTS},
    }


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)


def _at(day: Day) -> float:
    return _midnight(day["date"]).timestamp()
