"""A period's report and its pages, from what the lake keeps. Reads only, and needs no JVM."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from caudal.errors import UsageError
from caudal.lake import Lake
from quality import days, pages, paper, results, service, uptime
from quality.marts import GROUPS, Mart
from quality.service import Records, Report

BACK = timedelta(days=13)
"""A day's page of results shows this many days before it too."""


@dataclass(frozen=True)
class Period:
    """A day, `2026-11-28`, or a month, `2026-11`."""

    name: str
    first: date
    last: date

    @staticmethod
    def parse(text: str) -> Period:
        """Raises UsageError when the text is neither."""
        try:
            if len(text) == 7:
                first = date.fromisoformat(f"{text}-01")
                return Period(text, first, first.replace(day=calendar.monthrange(first.year, first.month)[1]))
            day = date.fromisoformat(text)
            return Period(day.isoformat(), day, day)
        except ValueError:
            raise UsageError("this is neither a day nor a month", where="--date", fix="2026-11-28 or 2026-11") from None

    def days(self) -> list[date]:
        """Its days, the first one first."""
        return [self.first + timedelta(days=n) for n in range((self.last - self.first).days + 1)]

    def holds(self, at_ms: int) -> bool:
        return self.first <= days.day_of(at_ms) <= self.last


def newest(lake: Lake, period: Period) -> list[dict[str, Any]]:
    """The newest results of each group, with their evidence; none of a group whose newest lie outside the period."""
    found = [results.latest(lake, group) for group in GROUPS]
    return [
        {**one, "evidence": results.evidence(lake, one["cycle"])} for one in found if one and period.holds(one["at_ms"])
    ]


def last_runs(lake: Lake, period: Period) -> list[dict[str, Any]]:
    """How each check ended when it last ran in the period."""
    last: dict[str, Mapping[str, Any]] = {}
    for day in days.load_range(lake, period.first, period.last):
        last |= day["checks"]
    return [
        {"layer": layer, "table": table, "code": code, "ok": one["ok"], "severity": one["severity"]}
        | {"observed": one["observed"], "runs": one["runs"], "failed": one["failed"]}
        for name, one in sorted(last.items())
        for layer, table, code in [(name.partition(".")[0], *name.partition(".")[2].partition(":")[::2])]
    ]


def service_level(lake: Lake, period: Period, marts: Iterable[Mart], objective: float, now: datetime) -> Report:
    """The service-level report of a period."""
    born = days.born(lake)
    # A day that left no history is one on which nothing ran: its promises are judged like those of any other.
    listed = [days.load(lake, day) for day in period.days() if born is not None and born <= day <= now.date()]
    tallies = {day: tally for day in map(str, period.days()) if (tally := uptime.load(lake, day))}
    return service.report(period.name, listed, tallies, marts, records(lake, period), objective, now, born)


def records(lake: Lake, period: Period) -> Records:
    """What became of the records that the ledger counts in the period."""
    from caudal.query import Query

    if not lake.has_table("ops", "ledger"):
        return Records()
    query = Query(lake)
    query.table("ledger", "ops", "ledger")
    after = datetime.combine(period.last + timedelta(days=1), datetime.min.time(), UTC)
    [row] = query.rows(
        "select sum(read) as read, sum(applied) as applied, sum(duplicate) + sum(superseded) as repeated, "
        "sum(dead_letter) as refused, sum(parked) as waiting from ledger "
        f"where committed_at >= '{period.first.isoformat()}' and committed_at < '{after.date().isoformat()}'"
    )
    return Records(**{name: int(value or 0) for name, value in row.items()})


def written(lake: Lake, period: Period, report: Report, now: datetime) -> dict[str, bytes]:
    """Pages and paper by file name."""
    made_at = f"{now:%Y-%m-%d %H:%M} UTC"
    history = days.load_range(lake, min(period.first, period.last - BACK), period.last)
    return {
        f"quality-{period.name}.html": pages.results_page(period.name, newest(lake, period), history, made_at).encode(),
        f"service-{period.name}.html": pages.service_page(report.record(), made_at).encode(),
        f"service-{period.name}.pdf": paper.service_paper(report.record(), made_at),
    }
