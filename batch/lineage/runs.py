"""What ran, as values: cycles and restores by the records that batch leaves, streaming's commits by the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from batch.record import Record
from caudal.lake import Lake
from caudal.query import Query, text

State = Literal["START", "COMPLETE", "FAIL", "ABORT"]
COUNTS = ("read", "applied", "duplicate", "superseded", "dead_letter", "parked", "late", "suppressed", "expired")
LATE_MS = 86_400_000
PAGE = 1000
"""Commits looked at in one go: a second's commits of a thousand contracts, and some MiB of events."""


@dataclass(frozen=True)
class Used:
    """A node at a version that a run read or wrote. `offsets` are [first, end) by partition, `checks` verdicts."""

    node: str
    version: int | None = None
    rows: int | None = None
    offsets: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    checks: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Run:
    """One run of a job. Times are epoch milliseconds; `state` is START as long as it has not ended.

    `key` makes its id: the same run has the same id whenever it is looked at.
    """

    job: str
    key: str
    kind: Literal["CYCLE", "GATE", "RESTORE", "MICRO_BATCH"]
    state: State
    started_ms: int
    ended_ms: int
    inputs: tuple[Used, ...] = ()
    outputs: tuple[Used, ...] = ()
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    parent: Run | None = None


def of_cycle(
    record: Record, results: Mapping[str, Any] | None, nodes: Mapping[str, str], made_of: Mapping[str, Iterable[str]]
) -> tuple[Run, ...]:
    """A cycle and its gate, or a restore, from its record and what its checks found.

    `nodes` are the graph's names of pinned tables, `made_of` the stored nodes that each mart reads.
    """
    if record.inherits:
        return (_restore(record),)
    states: dict[str, State] = {"published": "COMPLETE", "failed": "FAIL", "restored": "ABORT"}
    state = "FAIL" if record.failed else states.get(record.state, "START")
    ended = record.ended_ms or record.started_ms + round(1000 * sum(record.seconds.values()))
    written = tuple(Used(f"gold.{mart}", built.version, built.rows) for mart, built in sorted(record.tables.items()))
    read = {nodes[name]: version for name, version in record.silver_versions.items() if name in nodes}
    wanted = {above for used in written for above in made_of.get(used.node, ())}
    cycle = Run(
        f"cycle.{record.group}",
        record.cycle,
        "CYCLE",
        state,
        record.started_ms,
        ended,
        tuple(Used(node, version) for node, version in sorted(read.items()) if not wanted or node in wanted),
        # What a failed cycle wrote was taken back before anybody saw it.
        written if state == "COMPLETE" else (),
        ", ".join(record.failed),
        {"cycle": record.cycle, "seconds": dict(record.seconds), "checks": dict(record.tests)},
    )
    if results is None or state == "START":
        return (cycle,)
    return (cycle, _gate(cycle, results, {**read, **{used.node: used.version for used in written}}))


def commits(
    lake: Lake, after: Mapping[str, int], since_ms: int, newest_ms: int = 0, limit: int = PAGE
) -> tuple[Run, ...]:
    """Commits of silver as the ledger has them, oldest first, at most `limit`.

    `after` is the newest version already seen of each contract; of the others those committed later than `since_ms`.
    `newest_ms` is when the newest commit seen was made: lines reach the ledger seconds later, a day at the very most.
    """
    if not lake.has_table("ops", "ledger"):
        return ()
    query = Query(lake)
    query.table("ledger", "ops", "ledger")
    seen = "".join(f" when {text(name)} then silver_version > {version}" for name, version in sorted(after.items()))
    later = f"committed_at > to_timestamp_millis({int(since_ms)})"
    fresh = f"case contract{seen} else {later} end" if seen else later
    # By time, files of the ledger are passed over unread.
    recent = f"committed_at > to_timestamp_millis({max(int(since_ms), int(newest_ms) - LATE_MS)})"
    sums = ", ".join(f"coalesce(sum({name}), 0) as {name}" for name in COUNTS)
    # A commit that a RESTORE undid has its lines twice, once negated.
    some = " or ".join(f"sum({name}) <> 0" for name in COUNTS)
    rows = query.rows(
        f"select contract, silver_version, min(batch) as first_batch, max(batch) as last_batch, {sums}, "
        "max(committed_at) as at, array_agg(offsets) as offsets from ledger "
        f"where {recent} and ({fresh}) group by contract, silver_version having {some} "
        f"order by at, contract, silver_version limit {int(limit)}"
    )
    return tuple(_commit(row) for row in rows)


def started(run: Run) -> Run:
    """The run as it was when it began."""
    inputs = tuple(Used(used.node, used.version) for used in run.inputs)
    return replace(run, state="START", ended_ms=run.started_ms, inputs=inputs, outputs=(), error="", facts={})


def _restore(record: Record) -> Run:
    return Run(
        f"restore.{record.group}",
        record.cycle,
        "RESTORE",
        "COMPLETE",
        record.started_ms,
        record.ended_ms or record.started_ms,
        tuple(Used(f"gold.{mart}", version) for mart, version in sorted(record.restored_from.items())),
        tuple(
            Used(f"gold.{m}", t.version, t.rows) for m, t in sorted(record.tables.items()) if m in record.restored_from
        ),
        facts={"cycle": record.cycle, "inherits": record.inherits},
    )


def _gate(cycle: Run, results: Mapping[str, Any], versions: Mapping[str, int | None]) -> Run:
    """The checks of a cycle as a run of their own: they read what the cycle wrote, and what it read."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in results["results"]:
        # A check across tables names none.
        if one["table"]:
            found.setdefault(f"{one['layer']}.{one['table']}", []).append(one)
    at = int(results["at_ms"])
    failed = [f"{r['layer']}.{r['table']}:{r['code']}" for r in results["results"] if not r["ok"]]
    return Run(
        cycle.job.replace("cycle.", "gate."),
        f"{cycle.key}/gate",
        "GATE",
        "COMPLETE" if results["ok"] else "FAIL",
        at,
        at,
        tuple(Used(node, versions.get(node), checks=tuple(checks)) for node, checks in sorted(found.items())),
        error="" if results["ok"] else ", ".join(failed),
        parent=cycle,
    )


def _commit(row: Mapping[str, Any]) -> Run:
    contract, version = str(row["contract"]), int(row["silver_version"])
    at_ms = round(row["at"].timestamp() * 1000)
    counts = {name: int(row[name]) for name in COUNTS}
    offsets: dict[str, tuple[int, int]] = {}
    for part in row["offsets"] or ():
        for partition, (first, end) in json.loads(part or "{}").items():
            low, high = offsets.get(partition, (first, end))
            offsets[partition] = min(low, first), max(high, end)
    outputs = [Used(f"silver.{contract.replace('.', '_')}", version, counts["applied"])]
    if counts["dead_letter"] > 0:
        outputs.append(Used("quarantine.dead_letters", rows=counts["dead_letter"]))
    return Run(
        f"streaming.{contract}",
        f"{contract}@{version}",
        "MICRO_BATCH",
        "COMPLETE",
        # A commit is one moment; when its batch began nobody wrote down.
        at_ms,
        at_ms,
        (Used(f"topic.{contract}", rows=counts["read"], offsets=offsets),),
        (Used("raw.events", rows=counts["read"]), *outputs) if counts["read"] else tuple(outputs),
        facts={"contract": contract, "first_batch": int(row["first_batch"]), "last_batch": int(row["last_batch"])}
        | counts,
    )
