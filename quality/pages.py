"""Pages of results and of the service level: one HTML file each, without a script and without a foreign address.

The templates lie beside this module; every value is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from quality.days import Day

TEMPLATES = Path(__file__).parent / "templates"


def results_page(period: str, latest: Iterable[Mapping[str, Any]], days: Sequence[Day], made_at: str) -> str:
    """The newest results by table and check, each with its failures by day. `latest` are the groups' newest results,
    each with its `evidence`."""
    groups = sorted(latest, key=lambda one: str(one["group"]))
    newest = {f"{r['layer']}.{r['table']}:{r['code']}": r for group in groups for r in group["results"]}
    tables: dict[str, list[dict[str, Any]]] = {}
    for name in sorted({*newest, *(name for day in days for name in day["checks"])}):
        table, _, code = name.partition(":")
        tables.setdefault(table, []).append(_check(code, newest.get(name), name, days))
    evidence = [
        {**found, "ids": [", ".join(map(str, row.values())) for row in found["rows"]]}
        for group in groups
        for found in group.get("evidence", ())
    ]
    return _render(
        "results.html", period=period, made_at=made_at, groups=groups, tables=tables, days=days, evidence=evidence
    )


def service_page(report: Mapping[str, Any], made_at: str) -> str:
    """The service-level report of a period, as `service.Report.record` gives it."""
    return _render("service.html", report=report, period=report["period"], made_at=made_at)


def _check(code: str, newest: Mapping[str, Any] | None, name: str, days: Iterable[Day]) -> dict[str, Any]:
    history = [day["checks"].get(name) for day in days]
    ran = [one for one in history if one]
    last = newest or {"ok": ran[-1]["ok"], "severity": ran[-1]["severity"]}
    number = last.get("observed")
    return {
        "code": code,
        "verdict": "ok" if last["ok"] else last["severity"],
        "checked": last.get("checked"),
        "failing": last.get("failing"),
        "observed": None if number is None else f"{number:,.4g}",
        "detail": last.get("detail", ""),
        "runs": sum(one["runs"] for one in ran),
        "failed": sum(one["failed"] for one in ran),
        "history": ["none" if one is None else "bad" if one["failed"] else "good" for one in history],
    }


def _render(template: str, **values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return pages.get_template(template).render(**values)
