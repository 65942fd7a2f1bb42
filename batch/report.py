"""What a cycle tells the rest of the world: metrics, log lines, alarms. Counts, versions and codes only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from batch.errors import BuildFailed, GateFailed
from batch.pins import NEVER
from batch.plan import LIVE
from batch.record import Record
from batch.stage import Work
from batch.tools import Tools
from caudal import log
from quality.anomalies.detect import Anomaly

_log = log.get("batch")


def report_published(tools: Tools, done: Record, work: Work, previous: Mapping[str, int]) -> None:
    """Rows and ages of what became visible, seconds by step, versions."""
    metrics = tools.metrics
    for mart, built in done.tables.items():
        metrics.gauge("caudal_mart_rows", built.rows, mart=mart)
        metrics.gauge("caudal_mart_version", built.version, mart=mart)
    for step, seconds in done.seconds.items():
        metrics.gauge("caudal_cycle_seconds", seconds, group=done.group, step=step)
    metrics.count("caudal_cycles_total", group=done.group, verdict="published")
    # Only live marts are promised within seconds, so only they tell gold's age.
    if done.group == LIVE:
        _ages(tools, done, work, previous)
    if any(built.rows for built in done.tables.values()):
        metrics.mark("first_gold")
    _log.info(
        "published",
        group=done.group,
        cycle=done.cycle,
        rows={mart: built.rows for mart, built in done.tables.items()},
        seconds=dict(done.seconds),
        checks=dict(done.tests),
    )


def report_failure(tools: Tools, group: str, error: GateFailed | BuildFailed) -> None:
    """Count, log and raise the alarm; readers keep the last good gold."""
    names = error.failed if isinstance(error, GateFailed) else error.nodes
    for name in names:
        tools.metrics.count("caudal_rejects_total", stage="gold", code=error.code, contract=name.partition(":")[0])
    tools.metrics.count("caudal_cycles_total", group=group, verdict="failed")
    _log.error("not published", group=group, **error.facts())
    tools.alerts.raise_(error.code, error.what, f"gold-{group}", failed=list(names))


def report_anomalies(tools: Tools, found: Iterable[Anomaly], looked: int) -> None:
    """Count and raise an alarm for each table and signal that was not as usual in the last hour."""
    tools.metrics.gauge("caudal_anomaly_series", looked)
    for one in found:
        tools.metrics.count("caudal_anomalies_total", table=one.table)
        tools.alerts.raise_(
            "CDL-ANOMALY",
            f"{one.signal} of {one.table} is not as usual",
            f"anomaly-{one.table}-{one.signal}",
            table=one.table,
            signal=one.signal,
            began=one.began,
            deviations=round(one.score, 1),
        )


def _ages(tools: Tools, done: Record, work: Work, previous: Mapping[str, int]) -> None:
    """Seconds from `published_at` to now, over the silver rows that this cycle brought into gold; one job."""
    moved = [
        (contract.id, contract.table, previous.get(contract.table, NEVER))
        for contract in work.contracts.values()
        if done.silver_versions.get(contract.table, NEVER) > previous.get(contract.table, NEVER)
    ]
    if not moved:
        return
    rows = " union all ".join(
        f"select '{name}' as contract, _published_at from pinned.{table} where _version > {version}"
        for name, table, version in moved
    )
    now = tools.clock.now_ms() / 1000
    found = tools.spark.sql(
        "select contract, count(*) as n, percentile_approx(age, array(0.5D, 0.95D, 0.99D)) as quantiles from ("
        f"select contract, {now}D - unix_millis(_published_at) / 1000D as age from ({rows})"
        ") group by contract with rollup"
    ).collect()
    for row in found:
        if row["contract"] is not None:
            tools.metrics.count("caudal_rows_total", row["n"], stage="gold", contract=row["contract"])
        elif row["quantiles"]:
            p50, p95, p99 = (max(0.0, value) for value in row["quantiles"])
            tools.metrics.quantiles("gold", p50, p95, p99, row["n"])
