"""What `caudal status` tells: processes, ports, memory, stages, breakers and alarms, read from what they wrote."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from caudal.alerts import recent
from caudal.lease import holder
from caudal.local import record
from caudal.metrics import Snapshot, read_all
from caudal.settings import Settings
from caudal.standing import backlog, freshness, tables

STAGES = ("source", "kafka", "raw", "silver", "gold", "decision")
# Rates need two readings; the stages write their numbers once a second.
RATE_S = 1.5
_ALARM = ("at", "code", "summary", "runbook")


def status(settings: Settings, *, rate_s: float = RATE_S) -> dict[str, Any]:
    """The whole answer, JSON-ready. Takes `rate_s` seconds when the install runs, to see how fast rows move."""
    run_dir = settings.run_dir
    supervisor = holder(run_dir / record.LEASE)
    first = read_all(run_dir / "metrics")
    if supervisor is not None and rate_s > 0:
        time.sleep(rate_s)
    second = read_all(run_dir / "metrics")
    processes = record.read(run_dir / "processes.json").get("children", {})
    memory = record.read(run_dir / "memory.json")
    return {
        "running": supervisor is not None,
        "supervisor": supervisor.pid if supervisor else None,
        "data": str(settings.data_dir.resolve()),
        "lake": settings.lake_uri,
        "urls": record.read(run_dir / "endpoints.json").get("urls", {}),
        "processes": [_process(name, known, memory, supervisor is not None) for name, known in processes.items()],
        "memory_mib": {key: memory.get(key) for key in ("measure", "now_total", "peak_total")},
        "stages": stages(first, second),
        "backlog": backlog(second),
        "freshness": freshness(second),
        "tables": tables(second),
        "breakers": breakers(second),
        "alerts": [
            {k: a.get(k) for k in ("at", "code", "summary", "runbook")} for a in recent(run_dir / "alerts.jsonl", 10)
        ],
    }


def stages(first: Sequence[Snapshot], second: Sequence[Snapshot]) -> list[dict[str, Any]]:
    """Rows, rows/s, lag, P95 age in seconds and rejects of each stage, summed over processes and contracts."""
    before, after = _rows(first), _rows(second)
    passed = max((s.at for s in second), default=0.0) - max((s.at for s in first), default=0.0)
    lag, rejects = _sum(second, "caudal_lag"), _sum(second, "caudal_rejects_total")
    return [
        {
            "stage": stage,
            "rows": int(after[stage]),
            "rows_per_s": round(max(0.0, (after[stage] - before[stage]) / passed), 1) if passed > 0 else 0.0,
            "lag": int(lag[stage]),
            "p95_age_s": _age(second, stage, "p95"),
            "age_s": {name: _age(second, stage, name) for name in ("p50", "p95", "p99")},
            "rejects": int(rejects[stage]),
        }
        for stage in STAGES
    ]


def breakers(snapshots: Sequence[Snapshot]) -> list[dict[str, str]]:
    """Circuit breakers of outgoing calls: who calls whom, open or closed."""
    return [
        {
            "process": snapshot.process,
            "component": gauge.labels.get("component", ""),
            "host": gauge.labels.get("host", ""),
            "state": "open" if gauge.value else "closed",
        }
        for snapshot in snapshots
        for gauge in snapshot.gauges
        if gauge.name == "caudal_breaker_open"
    ]


def _process(name: str, known: dict[str, Any], memory: dict[str, Any], running: bool) -> dict[str, Any]:
    return {
        "name": name,
        "state": known["state"] if running else "stopped",
        "pid": known["pid"] if running else None,
        "restarts": known["restarts"],
        "ports": known["ports"],
        "url": known["url"],
        "memory_mib": memory.get("now", {}).get(name) if running else None,
        "peak_mib": memory.get("peak", {}).get(name),
        "log": known["log"],
    }


def _rows(snapshots: Sequence[Snapshot]) -> dict[str, float]:
    return _sum(snapshots, "caudal_rows_total")


def _sum(snapshots: Sequence[Snapshot], name: str) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for snapshot in snapshots:
        for sample in [*snapshot.counters, *snapshot.gauges]:
            if sample.name == name:
                sums[sample.labels.get("stage", "")] += sample.value
    return sums


def _age(snapshots: Sequence[Snapshot], stage: str, quantile: str) -> float | None:
    found = [float(age[quantile]) for s in snapshots for age in s.ages if age["stage"] == stage and age["n"]]
    return round(max(found), 2) if found else None
