"""What an operator sees of the install at one moment: stages, processes, breakers, alarms, quality, gold.

Everything comes from files that the processes write (metrics snapshots, alarms, the manifest, quality results), so
the answer needs no process but this one, and says how old each part is.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from caudal import alerts, metrics, standing
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.settings import Settings
from serving.api.errors import NotPublished
from serving.api.gold import Gold, Reader

STAGES = ("source", "kafka", "raw", "silver", "gold", "decision")
# A process writes its snapshot every second; after this many seconds it is not there any more.
STALE_S = 10.0


def collect(settings: Settings, lake: Lake, reader: Reader, *, now: float | None = None) -> dict[str, Any]:
    """The whole record, JSON-ready. `now` is epoch seconds."""
    at = time.time() if now is None else now
    snapshots = metrics.read_all(settings.run_dir / "metrics")
    return {
        "at": at,
        "stages": stages(snapshots),
        "backlog": standing.backlog(snapshots),
        "freshness": standing.freshness(snapshots),
        "rejects": by_label(snapshots, "caudal_rejects_total", "code"),
        "refused_at_door": by_label(snapshots, "caudal_rejects_total", "code", stage="source"),
        "duplicates": total(snapshots, "caudal_duplicates_total"),
        "processes": processes(snapshots, at),
        "breakers": breakers(snapshots),
        "alerts": alarms(settings.run_dir / "alerts.jsonl"),
        "quality": quality(lake, reader.groups),
        "gold": gold(reader, at),
    }


def stages(snapshots: Iterable[metrics.Snapshot]) -> list[dict[str, Any]]:
    """One record per stage of the road, in its order: rows, rejects, lag, ages in seconds."""
    rows: dict[str, float] = defaultdict(float)
    rejects: dict[str, float] = defaultdict(float)
    lag: dict[str, float] = defaultdict(float)
    ages: dict[str, dict[str, float]] = {}
    for snapshot in snapshots:
        for sample in snapshot.counters:
            stage = sample.labels.get("stage", "")
            if sample.name == "caudal_rows_total":
                rows[stage] += sample.value
            elif sample.name == "caudal_rejects_total":
                rejects[stage] += sample.value
        for sample in snapshot.gauges:
            if sample.name == "caudal_lag":
                lag[sample.labels.get("stage", "")] += sample.value
        for entry in snapshot.ages:
            worst = ages.setdefault(entry["stage"], {"p50": 0.0, "p95": 0.0, "p99": 0.0})
            for quantile in worst:
                worst[quantile] = max(worst[quantile], float(entry.get(quantile, 0.0)))
    return [
        {
            "stage": stage,
            "rows": int(rows[stage]) if stage in rows else None,
            "rejects": int(rejects[stage]) if stage in rejects else 0,
            "lag": int(lag[stage]) if stage in lag else None,
            "age": ages.get(stage),
        }
        for stage in STAGES
    ]


def by_label(snapshots: Iterable[metrics.Snapshot], name: str, label: str, stage: str | None = None) -> dict[str, int]:
    """A counter's sum per value of one label, of one stage or of all, largest first."""
    sums: dict[str, float] = defaultdict(float)
    for snapshot in snapshots:
        for sample in snapshot.counters:
            if sample.name == name and stage in (None, sample.labels.get("stage")):
                sums[sample.labels.get(label, "")] += sample.value
    return {k: int(v) for k, v in sorted(sums.items(), key=lambda item: (-item[1], item[0]))}


def total(snapshots: Iterable[metrics.Snapshot], name: str) -> int:
    """A counter's sum over everything."""
    return int(sum(s.value for snapshot in snapshots for s in snapshot.counters if s.name == name))


def processes(snapshots: Iterable[metrics.Snapshot], now: float) -> list[dict[str, Any]]:
    """Each process that reports, whether it still does, and its memory; then the servers, which do not report.

    `ready` is None for a server: the supervisor measures its memory, so it runs.
    """
    found = list(snapshots)
    memory = {
        sample.labels.get("process", ""): round(sample.value)
        for s in found
        for sample in s.gauges
        if sample.name == "caudal_memory_mib" and now - s.at < STALE_S
    }
    reporting = [
        {
            "process": s.process,
            "ready": s.ready and now - s.at < STALE_S,
            "silent_s": round(max(0.0, now - s.at), 1),
            "memory_mib": memory.pop(s.process, None),
        }
        for s in found
    ]
    servers = [{"process": name, "ready": None, "silent_s": None, "memory_mib": mib} for name, mib in memory.items()]
    return [*reporting, *sorted(servers, key=lambda entry: str(entry["process"]))]


def breakers(snapshots: Iterable[metrics.Snapshot]) -> list[dict[str, Any]]:
    """Circuit breakers of outgoing calls, open ones first."""
    found = [
        {**sample.labels, "process": snapshot.process, "open": sample.value > 0}
        for snapshot in snapshots
        for sample in snapshot.gauges
        if sample.name == "caudal_breaker_open"
    ]
    return sorted(found, key=lambda b: (not b["open"], str(b.get("component")), str(b.get("host"))))


def alarms(file: Path) -> list[dict[str, Any]]:
    """The latest alarms, newest first; none while the last line is still being written."""
    try:
        return alerts.recent(file, 20)
    except ValueError:
        return []


def quality(lake: Lake, groups: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The latest results of the gate by publish group; a group without results, or with damaged ones, is left out.

    Each is `{cycle, group, at_ms, ok, results: [{table, code, ok, severity, checked, failing}]}`.
    """
    found: dict[str, dict[str, Any]] = {}
    for group in groups:
        try:
            results = json.loads(lake.read_bytes(f"_quality/latest-{group}.json") or b"{}")
        except (ValueError, TransientError):
            continue
        if isinstance(results, dict) and isinstance(results.get("results"), list):
            found[group] = results
    return found


def gold(reader: Reader, now: float) -> list[dict[str, Any]]:
    """Published marts with version, rows and age in seconds; none before the first publish or with storage away."""
    try:
        published = reader.current()
    except (NotPublished, TransientError):
        return []
    return marts(published, now)


def marts(published: Gold, now: float) -> list[dict[str, Any]]:
    """The marts of one manifest as records, by name."""
    return [
        {
            "mart": m.name,
            "group": m.group,
            "cycle": m.cycle,
            "version": m.version,
            "rows": m.rows,
            "age_s": age_s(m.published_ms, now),
        }
        for m in sorted(published.marts.values(), key=lambda m: m.name)
    ]


def age_s(published_ms: int, now: float) -> float:
    """Seconds since a publish, never negative."""
    return round(max(0.0, now - published_ms / 1000), 1)


def flat(record: Mapping[str, Any]) -> str:
    """The record as compact JSON."""
    return json.dumps(record, separators=(",", ":"), default=str)
