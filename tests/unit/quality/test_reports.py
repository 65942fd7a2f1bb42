"""The verb `caudal quality report`: pages that need no network, JSON, and the exit code."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pypdf import PdfReader
from typer.testing import CliRunner

from caudal.cli.main import app
from caudal.lake import LocalLake
from quality import days, results
from quality.marts import Mart
from quality.reports import Period, service_level
from quality.results import Result

AT = 1_772_366_400_000  # 2026-03-01 12:00 UTC
GOOD = Result("fct_orders", "gold", "NOT_NULL:tenant_id", True, "critical", 10, 0)
ROWS = ({"tenant_id": "<b>s1</b>", "order_id": "4711"},)
BAD = Result("fct_orders", "gold", "AT_LEAST:total", False, "critical", 10, 1, rows=ROWS)
SHARE = Result("o", "silver", "LATENCY", False, "warning", 10, None, unit="share", observed=0.875, low=0.99)


def asked(tmp_path: Path, *arguments: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(
        app, ["quality", "report", "--data", str(tmp_path), "-o", "json", *arguments], catch_exceptions=False
    )
    return done.exit_code, json.loads(done.stdout)


def kept(tmp_path: Path, *found: Result) -> None:
    lake = LocalLake(str(tmp_path / "lake"))
    results.save(lake, "20260301T120000000-live", "live", AT, found)
    days.add_cycle(lake, "live", AT - 5000, AT, results.passed(found))


def test_a_failure_is_shown_with_its_rows_and_exit_5(tmp_path: Path) -> None:
    """The page names table, check and rows, escaped, and asks nothing of a network."""
    kept(tmp_path, GOOD, BAD, SHARE)
    code, found = asked(tmp_path, "--date", "2026-03-01")
    assert (code, found["ok"]) == (5, False)
    page = (tmp_path / "reports" / "quality-2026-03-01.html").read_text()
    assert "AT_LEAST:total" in page
    assert "4711" in page
    assert "0.875" in page
    assert "<b>s1</b>" not in page
    for name in ("quality", "service"):
        text = (tmp_path / "reports" / f"{name}-2026-03-01.html").read_text()
        assert not re.search(r"(?i)<script|https?:|src=|@import|url\(", text)
    assert found["service"]["cycles"][0]["failed"] == 1  # type: ignore[index]


def test_the_service_level_is_on_paper_too(tmp_path: Path) -> None:
    """A PDF with the tables of the page; a name that its fonts do not have does not break it."""
    kept(tmp_path, GOOD, SHARE)
    lake = LocalLake(str(tmp_path / "lake"))
    for day in range(40):
        days.add_cycle(lake, f"g{day}-\u0142", AT, AT + 7_000, True)
    code, found = asked(tmp_path, "--date", "2026-03")
    assert code == 0
    [file] = [name for name in found["pages"] if str(name).endswith(".pdf")]  # type: ignore[attr-defined]
    paper = PdfReader(file)
    text = "\n".join(page.extract_text() for page in paper.pages)
    assert len(paper.pages) > 1
    for told in ("Service level of 2026-03", "objective 99.950 %", "g39-?", "Repeated or older", "silver.o"):
        assert told in text


def test_a_month_has_its_days(tmp_path: Path) -> None:
    """A warning does not fail the verb, and the month's page has a line a day."""
    kept(tmp_path, GOOD, SHARE)
    lake = LocalLake(str(tmp_path / "lake"))
    days.add_cycle(lake, "live", AT + 86_400_000, AT + 86_407_000, True)
    code, found = asked(tmp_path, "--date", "2026-03")
    assert (code, found["ok"]) == (0, True)
    level = found["service"]
    assert [day["published"] for day in level["days"]][:3] == [1, 1, 0]  # type: ignore[index]
    assert len(level["days"]) == 31  # type: ignore[index]
    assert level["cycles"][0]["seconds"]["p99"] == 7.0  # type: ignore[index]
    assert "By day" in (tmp_path / "reports" / "service-2026-03.html").read_text()


def test_a_day_on_which_nothing_ran_has_missed_its_deadline(tmp_path: Path) -> None:
    """A dead batch process leaves no history, and that is no excuse; only the first day of all is not judged."""
    kept(tmp_path, GOOD)
    lake = LocalLake(str(tmp_path / "lake"))
    eleven_days_later = AT + 11 * 86_400_000 - 8 * 3_600_000
    days.add_cycle(lake, "live", eleven_days_later, eleven_days_later + 7000, True)
    now = datetime(2026, 3, 12, 12, tzinfo=UTC)
    mart = Mart("revenue_by_shop", "live", "", {}, (), deadline_s=6 * 3600)
    level = service_level(lake, Period.parse("2026-03"), [mart], 0.9995, now)
    [promise] = level.promises
    assert (promise.kept, promise.missed_on) == (1, tuple(f"2026-03-{day:02}" for day in range(2, 12)))


def test_a_day_without_anything_says_so(tmp_path: Path) -> None:
    """An empty lake gives an empty report, not an error."""
    code, found = asked(tmp_path, "--date", "2026-03-01", "--out", str(tmp_path / "pages"))
    assert (code, found["results"]) == (0, [])
    assert "No cycle" in (tmp_path / "pages" / "quality-2026-03-01.html").read_text()


@pytest.mark.parametrize(("text", "last"), [("2026-02", "2026-02-28"), ("2026-12", "2026-12-31")])
def test_a_month_ends_on_its_last_day(text: str, last: str) -> None:
    """Months have their own lengths."""
    assert Period.parse(text).last.isoformat() == last


def test_a_repeated_check_counts_each_run(tmp_path: Path) -> None:
    """The history of a day holds runs and failures, and how it ended."""
    kept(tmp_path, BAD)
    kept(tmp_path, GOOD)
    [check] = [one for name, one in days.load(LocalLake(str(tmp_path / "lake")), days.day_of(AT))["checks"].items()
               if name.endswith("total")]  # fmt: skip
    assert (check["runs"], check["failed"], check["observed"]) == (1, 1, 1)
