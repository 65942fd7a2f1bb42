"""Where the road stands, read from what processes report: the backlog, how fresh tables are, what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caudal.metrics import Snapshot


def backlog(snapshots: Sequence[Snapshot]) -> dict[str, Any] | None:
    """Records that Kafka has and raw has not, how many are read a second, seconds until none is left (None: not to be
    said); None before streaming has looked."""
    names = {f"caudal_backlog_{name}": name for name in ("records", "records_per_second", "eta_seconds")}
    found = _by(snapshots, "none", names).get("")
    if found is None:
        return None
    eta = found.get("eta_seconds", -1.0)
    return {
        "records": int(found.get("records", 0)),
        "records_per_s": found.get("records_per_second", 0.0),
        "eta_s": None if eta < 0 else eta,
    }


def freshness(snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
    """By contract: up to when its silver is complete (epoch seconds), how old that is, the promise in seconds, and over
    1 and 24 hours the share of the time in which it was kept and the burn rate of the error budget, counted `since`."""
    names = {
        "caudal_valid_through_seconds": "valid_through",
        "caudal_freshness_seconds": "age_s",
        "caudal_freshness_promise_seconds": "promise_s",
        "caudal_freshness_since_seconds": "since",
        "caudal_freshness_kept_ratio": "kept",
        "caudal_burn_rate": "burn_rate",
    }
    keys = ("valid_through", "age_s", "promise_s", "kept_1h", "kept_24h", "burn_rate_1h", "burn_rate_24h", "since")
    return [
        {"contract": contract, **{key: row.get(key) for key in keys}}
        for contract, row in _by(snapshots, "contract", names).items()
    ]


def tables(snapshots: Sequence[Snapshot]) -> list[dict[str, Any]]:
    """By table (layer.name): data files, small ones, bytes, share of deleted rows, versions in its log; and what table
    care has done since the process began."""
    whole = ("files", "small_files", "bytes", "log_versions")
    state = {f"caudal_table_{name}": name for name in (*whole, "deleted_ratio")}
    done = {f"caudal_care_{name}_total": f"care_{name}" for name in ("runs", "files", "bytes", "log_files", "seconds")}
    names, parts = {**state, **done}, {"deleted_ratio", "care_seconds"}
    return [
        {
            "table": table,
            **{key: row.get(key, 0.0) if key in parts else int(row.get(key, 0)) for key in names.values()},
        }
        for table, row in _by(snapshots, "table", names).items()
    ]


def _by(snapshots: Sequence[Snapshot], label: str, names: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Values of these metrics by the value of a label, under the names given to them, added up."""
    found: dict[str, dict[str, float]] = {}
    for sample in (one for s in snapshots for one in (*s.counters, *s.gauges) if one.name in names):
        row = found.setdefault(sample.labels.get(label, ""), {})
        name = names[sample.name] + (f"_{sample.labels['window']}" if "window" in sample.labels else "")
        row[name] = row.get(name, 0.0) + sample.value
    return dict(sorted(found.items()))
