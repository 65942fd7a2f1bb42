"""Where the road stands, as `caudal status` and the page say it, from what a process has reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from caudal import standing
from caudal.cli import platform_view
from caudal.metrics import Metrics, Snapshot, read_all

ROAD: dict[str, Any] = {"running": True, "data": "d", "lake": "l", "processes": [], "stages": [], "breakers": []}


def snapshots(folder: Path, numbers: Metrics) -> list[Snapshot]:
    numbers.flush()
    return read_all(folder)


def test_nothing_is_made_up(tmp_path: Path) -> None:
    """Before streaming has looked there is no backlog, no freshness and no table."""
    found = snapshots(tmp_path, Metrics("streaming", tmp_path))
    assert (standing.backlog(found), standing.freshness(found), standing.tables(found)) == (None, [], [])


def test_the_road_stands_as_reported(tmp_path: Path) -> None:
    """Backlog, freshness by contract and tables are put together from gauges and counters, and shown to people."""
    numbers = Metrics("streaming", tmp_path)
    numbers.gauge("caudal_backlog_records", 12_000)
    numbers.gauge("caudal_backlog_records_per_second", 400)
    numbers.gauge("caudal_backlog_eta_seconds", -1)
    numbers.gauge("caudal_valid_through_seconds", 1000.5, contract="a.b")
    numbers.gauge("caudal_freshness_seconds", 7, contract="a.b")
    numbers.gauge("caudal_freshness_promise_seconds", 60, contract="a.b")
    numbers.gauge("caudal_freshness_since_seconds", 900, contract="a.b")
    for window, kept, burn in (("1h", 0.9, 10), ("24h", 0.995, 0.5)):
        numbers.gauge("caudal_freshness_kept_ratio", kept, contract="a.b", window=window)
        numbers.gauge("caudal_burn_rate", burn, contract="a.b", window=window)
    numbers.gauge("caudal_valid_through_seconds", 1, contract="no.promise")
    numbers.gauge("caudal_table_files", 70, table="silver.a_b")
    numbers.gauge("caudal_table_deleted_ratio", 0.25, table="silver.a_b")
    numbers.count("caudal_care_files_total", 60, table="silver.a_b", kind="compact")
    numbers.count("caudal_care_files_total", 3, table="silver.a_b", kind="purge")
    found = snapshots(tmp_path, numbers)

    backlog, fresh, made_of = standing.backlog(found), standing.freshness(found), standing.tables(found)
    assert backlog == {"records": 12_000, "records_per_s": 400, "eta_s": None}
    assert [row["contract"] for row in fresh] == ["a.b", "no.promise"]
    assert fresh[0] == {
        "contract": "a.b", "valid_through": 1000.5, "age_s": 7, "promise_s": 60, "since": 900,
        "kept_1h": 0.9, "kept_24h": 0.995, "burn_rate_1h": 10, "burn_rate_24h": 0.5,
    }  # fmt: skip
    assert fresh[1]["promise_s"] is None
    assert (made_of[0]["files"], made_of[0]["deleted_ratio"], made_of[0]["care_files"]) == (70, 0.25, 63)

    shown = platform_view.status({**ROAD, "backlog": backlog, "freshness": fresh, "tables": made_of, "alerts": []})
    assert "12,000 records, 400/s, no end in sight" in shown
    assert "99.5%" in shown
    assert "silver.a_b" in shown
