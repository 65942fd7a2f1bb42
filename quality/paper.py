"""The service-level report as PDF, to be kept or handed on: the tables of its page, on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[str, Sequence[str], Sequence[Sequence[object]]]
"""Caption, headings, rows."""


def service_paper(report: Mapping[str, Any], made_at: str) -> bytes:
    """The service-level report of a period, as `service.Report.record` gives it."""
    from fpdf import FPDF
    from fpdf.enums import XPos, YPos

    line: dict[str, Any] = {"new_x": XPos.LMARGIN, "new_y": YPos.NEXT}
    paper = FPDF(orientation="landscape")
    paper.set_title(f"Service level of {report['period']}")
    paper.add_page()
    paper.set_font("helvetica", "B", 16)
    paper.cell(text=f"Service level of {report['period']}", **line)
    paper.set_font("helvetica", size=9)
    paper.cell(text=f"Caudal, {made_at}", **line)
    for caption, headings, rows in tables(report):
        paper.ln(5)
        paper.set_font("helvetica", "B", 11)
        paper.cell(text=caption, **line)
        paper.set_font("helvetica", size=9)
        with paper.table(text_align="LEFT", line_height=5) as drawn:
            for row in (headings, *rows):
                drawn.row([_latin(value) for value in row])
    return bytes(paper.output())


def tables(report: Mapping[str, Any]) -> list[Table]:
    """What the report says, in order."""
    parts = report["availability"]
    records = report["records"]
    kept = ("read", "applied", "repeated", "refused", "waiting", "missed")
    found: list[Table] = [
        (
            f"Availability, objective {_percent(report['objective'])}",
            ("Part", "Available", "Burn rate", "Minutes watched", "Requests", "Errors"),
            [
                (
                    a["component"],
                    _percent(a["availability"]),
                    "" if a["burn_rate"] is None else a["burn_rate"],
                    *(int(a[name]) for name in ("watched_minutes", "requests", "errors")),
                )
                for a in parts
            ],
        ),
        (
            "Cycles",
            ("Group", "Published", "Failed", "Success", "P50 s", "P95 s", "P99 s"),
            [
                (
                    c["group"],
                    c["published"],
                    c["failed"],
                    _percent(c["success"]),
                    *(c["seconds"][name] for name in ("p50", "p95", "p99")),
                )
                for c in report["cycles"]
            ],
        ),
        (
            "Promises",
            ("Kind", "Of", "Promise", "Kept", "Missed", "Missed on"),
            [
                (p["kind"], p["what"], p["promise"], p["kept"], p["missed"], ", ".join(p["missed_on"]))
                for p in report["promises"]
            ],
        ),
        (
            "Records",
            ("Read", "Applied", "Repeated or older", "Dead letters", "Waiting", "Missed"),
            [tuple(records[name] for name in kept)],
        ),
    ]
    if len(report["days"]) > 1:
        found.append(
            (
                "By day",
                ("Day", "Published", "Failed", "Failed checks", *(a["component"] for a in parts)),
                [
                    (
                        day["date"],
                        day["published"],
                        day["failed"],
                        day["failed_checks"],
                        *(_percent(day["availability"][a["component"]]) for a in parts),
                    )
                    for day in report["days"]
                ],
            )
        )
    return found


def _percent(share: float | None) -> str:
    return "not watched" if share is None else f"{100 * share:.3f} %"


def _latin(value: object) -> str:
    """What the fonts that every reader of PDF has can show."""
    return str(value).encode("latin-1", "replace").decode("latin-1")
