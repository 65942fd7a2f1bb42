from __future__ import annotations

from pathlib import Path

from caudal.lake import LocalLake
from caudal.metrics import Metrics, read_all
from quality.results import Result, save
from serving.api import status


def test_stages_add_up_over_processes(tmp_path: Path) -> None:
    """Rows, rejects and lag of a stage are summed, its ages are the worst, a silent stage is unknown, not zero."""
    for process, rows in (("a", 3), ("b", 4)):
        metrics = Metrics(process, tmp_path)
        metrics.count("caudal_rows_total", rows, stage="raw", contract="commerce.order")
        metrics.gauge("caudal_lag", rows, stage="raw", contract="commerce.order")
        metrics.quantiles("raw", 1.0, float(rows), 9.0, 10)
        metrics.count("caudal_rejects_total", 2, stage="raw", code="CDL-MAGIC", contract="commerce.order")
        metrics.flush()
    stages = {s["stage"]: s for s in status.stages(read_all(tmp_path))}
    assert list(status.STAGES) == list(stages)
    assert stages["raw"] == {
        "stage": "raw",
        "rows": 7,
        "rejects": 4,
        "lag": 7,
        "age": {"p50": 1.0, "p95": 4.0, "p99": 9.0},
    }
    assert stages["gold"]["rows"] is None
    assert status.by_label(read_all(tmp_path), "caudal_rejects_total", "code") == {"CDL-MAGIC": 4}


def test_a_silent_process_is_not_ready(tmp_path: Path) -> None:
    """A snapshot that is no longer renewed does not count as a working process."""
    metrics = Metrics("batch", tmp_path)
    metrics.ready()
    metrics.flush()
    [snapshot] = read_all(tmp_path)
    assert [p["ready"] for p in status.processes([snapshot], snapshot.at + 1)] == [True]
    assert [p["ready"] for p in status.processes([snapshot], snapshot.at + 60)] == [False]


def test_servers_show_by_their_memory(tmp_path: Path) -> None:
    """A server that writes no snapshot is listed as running while the supervisor measures it."""
    supervisor, web = Metrics("supervisor", tmp_path), Metrics("web", tmp_path)
    for process, mib in (("kafka", 400.4), ("web", 90.0)):
        supervisor.gauge("caudal_memory_mib", mib, process=process)
    supervisor.flush()
    web.flush()
    snapshots = read_all(tmp_path)
    found = {p["process"]: p for p in status.processes(snapshots, snapshots[0].at)}
    assert (found["kafka"]["ready"], found["kafka"]["memory_mib"]) == (None, 400)
    assert (found["web"]["ready"], found["web"]["memory_mib"]) == (False, 90)
    assert [p["process"] for p in status.processes(snapshots, snapshots[0].at + 60)] == ["supervisor", "web"]


def test_damaged_quality_results_are_left_out(tmp_path: Path) -> None:
    """Absent, damaged or foreign results show as no results."""
    lake = LocalLake(str(tmp_path))
    assert status.quality(lake, ("live",)) == {}
    for text in (b"{", b"[]", b"3", b'{"results": 1}'):
        lake.write_atomic("_quality/latest-live.json", text)
        assert status.quality(lake, ("live",)) == {}


def test_quality_results_are_those_that_the_gate_saves(tmp_path: Path) -> None:
    """What the quality stage keeps is what the page reads."""
    results = [Result("fct_orders", "gold", "UNIQUE", True, "critical", 10, 0)]
    lake = LocalLake(str(tmp_path))
    save(lake, "live-1", "live", 1, results)
    found = status.quality(lake, ("live", "full"))
    assert list(found) == ["live"]
    assert found["live"]["ok"]
    assert found["live"]["results"][0]["code"] == "UNIQUE"


def test_open_breakers_come_first(tmp_path: Path) -> None:
    """An open circuit breaker is the first thing an operator reads."""
    metrics = Metrics("web", tmp_path)
    metrics.gauge("caudal_breaker_open", 0.0, component="a", host="x")
    metrics.gauge("caudal_breaker_open", 1.0, component="b", host="y")
    metrics.flush()
    assert [(b["host"], b["open"]) for b in status.breakers(read_all(tmp_path))] == [("y", True), ("x", False)]


def test_a_half_written_alarm_is_passed_over(tmp_path: Path) -> None:
    """An alarm that is just being written does not break the answer."""
    file = tmp_path / "alerts.jsonl"
    assert status.alarms(file) == []
    file.write_text('{"at": 1, "code": "CDL-PLAINTEXT"}\n{"at": 2, "co')
    assert status.alarms(file) in ([], [{"at": 1, "code": "CDL-PLAINTEXT"}])
