"""Metrics of all processes as Prometheus text (format 0.0.4).

Every sample carries the label `process`. Only names and labels of `docs/metrics.md` get through: a label that nobody
foresaw could have any number of values, or a value that no metric may hold.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from caudal.metrics import Snapshot
from serving.api.gold import Gold

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
LABELS = frozenset(
    {
        "stage",
        "contract",
        "code",
        "component",
        "host",
        "group",
        "kind",
        "mart",
        "outcome",
        "process",
        "quantile",
        "query",
        "route",
        "status",
        "table",
        "window",
    }
)
LONGEST_VALUE = 80
MOST_SERIES = 2000


@dataclass(frozen=True)
class Name:
    """A metric that is known beforehand."""

    type: str
    help: str


NAMES = {
    "caudal_rows_total": Name("counter", "Rows that a stage has delivered"),
    "caudal_rejects_total": Name("counter", "Records refused at a stage, by code"),
    "caudal_duplicates_total": Name("counter", "Records that were already applied"),
    "caudal_compacted_files_total": Name("counter", "Small data files that table care made fewer"),
    "caudal_late_total": Name("counter", "Applied records that came after the contract's lateness"),
    "caudal_lag": Name("gauge", "Records that wait for a stage"),
    "caudal_age_seconds": Name("gauge", "Age of records when they became available in a stage, since published_at"),
    "caudal_batch_seconds": Name("gauge", "Seconds that the last micro-batch took"),
    "caudal_cycle_seconds": Name("gauge", "Seconds that a step of the last batch cycle took"),
    "caudal_cycles_total": Name("counter", "Batch cycles by publish group and verdict"),
    "caudal_halted": Name("gauge", "1 while a contract is halted"),
    "caudal_memory_mib": Name("gauge", "Memory of a process and its children (PSS), in MiB"),
    "caudal_restarts_total": Name("counter", "Times the supervisor started a process again"),
    "caudal_backlog_records": Name("gauge", "Records that Kafka has and raw has not"),
    "caudal_backlog_records_per_second": Name("gauge", "Records read a second over the last minute"),
    "caudal_backlog_eta_seconds": Name("gauge", "Seconds until the backlog is worked off; -1: not to be said"),
    "caudal_valid_through_seconds": Name("gauge", "Unix time up to which a contract's silver table is complete"),
    "caudal_freshness_seconds": Name("gauge", "Seconds since a contract's silver table was complete"),
    "caudal_freshness_promise_seconds": Name("gauge", "Freshness that the contract promises"),
    "caudal_freshness_since_seconds": Name("gauge", "Unix time from which on the error budget counts"),
    "caudal_freshness_kept_ratio": Name("gauge", "Share of the window in which the promise was kept"),
    "caudal_burn_rate": Name("gauge", "How many times faster than allowed the error budget was spent in the window"),
    "caudal_table_files": Name("gauge", "Live data files of a table, which every reader opens"),
    "caudal_table_small_files": Name("gauge", "Live data files that are small"),
    "caudal_table_bytes": Name("gauge", "Bytes of a table's live data files"),
    "caudal_table_deleted_ratio": Name("gauge", "Share of rows that deletion vectors took out"),
    "caudal_table_log_versions": Name("gauge", "Versions in a table's log"),
    "caudal_care_runs_total": Name("counter", "Runs of table care"),
    "caudal_care_files_total": Name("counter", "Data files that table care made fewer"),
    "caudal_care_bytes_total": Name("counter", "Bytes of live data that table care made fewer"),
    "caudal_care_log_files_total": Name("counter", "Files of logs that table care deleted"),
    "caudal_care_seconds_total": Name("counter", "Seconds that table care took"),
    "caudal_breaker_open": Name("gauge", "1 while a circuit breaker leaves a host alone"),
    "caudal_process_ready": Name("gauge", "1 while a process does its work"),
    "caudal_process_silent_seconds": Name("gauge", "Seconds since a process last reported"),
    "caudal_gold_age_seconds": Name("gauge", "Seconds since a publish group was last published"),
    "caudal_gold_rows": Name("gauge", "Rows of a published mart, all tenants"),
    "caudal_gold_version": Name("gauge", "Published Delta version of a mart"),
    "caudal_warehouse_manifest": Name("gauge", "Number of the manifest that PostgreSQL shows"),
    "caudal_warehouse_seconds": Name("gauge", "Seconds that the last publish to PostgreSQL took"),
    "caudal_warehouse_rows_total": Name("counter", "Rows taken out of PostgreSQL and put in"),
    "caudal_api_requests_total": Name("counter", "Answers of the API, by route and status"),
    "caudal_api_seconds_total": Name("counter", "Seconds spent on answers of the API, by route"),
}


class Text:
    """Collects samples and writes them grouped by name, as the format demands."""

    def __init__(self) -> None:
        self._series: dict[str, dict[str, float]] = {}
        self._number = 0

    def add(self, name: str, value: float, **labels: str) -> None:
        """Add one sample; the same series twice is added up for counters, and the last wins for gauges."""
        kept = {k: v[:LONGEST_VALUE] for k, v in sorted(labels.items()) if k in LABELS}
        series = ",".join(f'{k}="{_escaped(v)}"' for k, v in kept.items())
        group = self._series.setdefault(name, {})
        if series not in group:
            if self._number >= MOST_SERIES:
                return
            self._number += 1
        group[series] = group.get(series, 0.0) + value if name.endswith("_total") else value

    def __str__(self) -> str:
        lines: list[str] = []
        for name in sorted(self._series):
            known = NAMES.get(name)
            kind = known.type if known else "counter" if name.endswith("_total") else "gauge"
            lines.append(f"# HELP {name} {known.help if known else 'See docs/metrics.md'}")
            lines.append(f"# TYPE {name} {kind}")
            lines.extend(
                f"{name}{{{series}}} {_number(value)}" if series else f"{name} {_number(value)}"
                for series, value in sorted(self._series[name].items())
            )
        return "\n".join(lines) + "\n"


def render(snapshots: Iterable[Snapshot], gold: Gold | None, *, now: float | None = None) -> str:
    """All processes' numbers and the age of gold as one page."""
    at = time.time() if now is None else now
    page = Text()
    for snapshot in snapshots:
        process = snapshot.process
        page.add("caudal_process_ready", 1.0 if snapshot.ready else 0.0, process=process)
        page.add("caudal_process_silent_seconds", round(max(0.0, at - snapshot.at), 1), process=process)
        for sample in (*snapshot.counters, *snapshot.gauges):
            page.add(sample.name, sample.value, **{"process": process, **sample.labels})
        for entry in snapshot.ages:
            for quantile, label in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99")):
                page.add(
                    "caudal_age_seconds",
                    float(entry.get(quantile, 0.0)),
                    **{**entry.get("labels", {}), "stage": entry["stage"], "quantile": label, "process": process},
                )
    if gold is not None:
        for mart in gold.marts.values():
            page.add("caudal_gold_rows", mart.rows, mart=mart.name, group=mart.group)
            page.add("caudal_gold_version", mart.version, mart=mart.name, group=mart.group)
            page.add("caudal_gold_age_seconds", round(max(0.0, at - mart.published_ms / 1000), 1), group=mart.group)
    return str(page)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))
