"""One cycle of one publish group, as the list of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from batch import gold, pins, record, restore
from batch.errors import GateFailed, Stopped
from batch.plan import FULL
from batch.publish import publish
from batch.record import Built, Record
from batch.stage import Stage, Work, staged
from batch.tools import Tools
from batch.transform import Node, failed
from caudal import log
from caudal.fault import crashpoint
from quality import days, results
from quality.results import Result

_log = log.get("batch")


class Stopwatch:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._aside = 0.0

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begun, self._aside = time.monotonic(), 0.0
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - begun - self._aside, 3)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Time within a step that belongs to somebody else."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self._aside += time.monotonic() - begun


def nothing() -> bool:
    """Between the slices of a cycle nobody else has his turn."""
    return False


def run(tools: Tools, work: Work, between: Callable[[], bool] = nothing) -> Record:
    """Restore, pin, transform, gate, publish. Returns the published record.

    `between` is called between slices of the work; it says whether it ran a cycle of another group. Raises BuildFailed
    or GateFailed; the group's tables are then as readers see them, and the record says why.
    """
    built, watch = build(tools, work, between)
    with watch.step("publish"):
        publish(tools.lake, tools.clock, built)
    crashpoint("after-publish")
    done = replace(built, state="published", ended_ms=tools.clock.now_ms(), seconds=watch.seconds)
    record.keep(tools.lake, done)
    days.add_cycle(tools.lake, work.group, done.started_ms, done.ended_ms, ok=True)
    return done


def build(tools: Tools, work: Work, between: Callable[[], bool] = nothing) -> tuple[Record, Stopwatch]:
    """All steps but the last: a record whose gate passed, open until it is published."""
    watch = Stopwatch()
    with watch.step("restore"):
        restore.settle(tools, work.group, work.own)
    with watch.step("pin"):
        stage = staged(tools, work)
        stage.set(tools)

    def pause() -> None:
        _go_on(tools)
        with watch.aside():
            if between():
                stage.set(tools)

    reads = {mart: tools.catalogue.content(work.sources[mart]) for mart in work.own}
    opened = record.save(
        tools.lake,
        Record(
            cycle=record.new_cycle(tools.clock, work.group),
            group=work.group,
            state="open",
            started_ms=tools.clock.now_ms(),
            inputs=tuple(sorted(work.inputs)),
            silver_versions=pins.versions(stage.inputs),
            models={name: work.checksums[name] for name in work.own if name in work.checksums},
            reads=reads,
        ),
    )
    try:
        with watch.step("transform"):
            nodes = _transform(tools, work, stage.moved(reads), stage.rebuild, pause)
        with watch.step("compact"):
            _compact(tools, work)
        crashpoint("after-dbt")
        _go_on(tools)
        with watch.step("gate"):
            found = _gate(tools, work, stage, pause)
    except Stopped:
        raise
    except BaseException:
        restore.undo(tools, work.group, work.own)
        raise
    crashpoint("after-gate")
    return _judged(tools, work, opened, nodes, found, watch), watch


def _transform(
    tools: Tools, work: Work, marts: Collection[str], rebuild: frozenset[str], pause: Callable[[], None]
) -> tuple[Node, ...]:
    """Build these marts, those of `rebuild` anew, and run the checks that read them; a full group in slices."""
    crash = lambda node: crashpoint("mid-dbt")  # noqa: E731  a name for it says nothing more
    anew, rest = [mart for mart in marts if mart in rebuild], [mart for mart in marts if mart not in rebuild]
    if work.group != FULL and not (anew and rest):
        return tools.transform.build(marts, full_refresh=bool(anew), after_each=crash)
    nodes: tuple[Node, ...] = ()
    # A mart that is made anew may read one that is not; never the other way round.
    for some in (rest, anew):
        for part in tools.transform.slices(some, work.slice_marts):
            nodes += tools.transform.models(part, full_refresh=some is anew, after_each=crash)
            pause()
    return nodes + tools.transform.checks(marts)


def _compact(tools: Tools, work: Work) -> None:
    """Small files of many increments become few, before the gate looks; one tenant's rows come to lie together."""
    for name, head in gold.heads(tools.lake, work.own).items():
        small = work.group == FULL and head.files > work.compact_files
        if small or (head.tenant_files or 0) > work.tenant_files:
            tools.spark.sql(f"optimize delta.`{tools.catalogue.address(name)}`")


def _gate(
    tools: Tools, work: Work, stage: Stage, pause: Callable[[], None]
) -> tuple[dict[str, Built], tuple[Result, ...]]:
    """Gold at exactly the versions to be published, and what this cycle took from silver."""
    found: list[Result] = []
    tables: dict[str, Built] = {}
    marts = {mart.name: mart for mart in work.marts}
    inputs, previous = stage.inputs, stage.previous
    for name, head in gold.heads(tools.lake, work.own).items():
        pause()
        frame = tools.catalogue.at(name, head.version)
        tables[name] = Built(head.version, head.table_id, head.rows)
        found.append(results.shape(marts[name], frame.dtypes))
        found += tools.gate.run(work.suites[f"gold.{name}"], frame, head.rows)
    for contract in work.contracts.values():
        pin, before = inputs.get(contract.table), previous.get(contract.table, pins.NEVER)
        if pin is None or pin.version <= before:
            continue
        changed = f"_version > {before}"
        exists = "" if contract.mode == "append" else " and _deleted_at is null"
        frame = tools.spark.table(f"pinned.{contract.table}").where(changed + exists)
        found += tools.gate.run(work.suites[f"silver.{contract.table}"], frame)
    return tables, tuple(found)


def _go_on(tools: Tools) -> None:
    if tools.stopping():
        raise Stopped("the process was told to end", fix="nothing: the next start takes the open cycle back")


def _judged(
    tools: Tools,
    work: Work,
    opened: Record,
    nodes: tuple[Node, ...],
    found: tuple[dict[str, Built], tuple[Result, ...]],
    watch: Stopwatch,
) -> Record:
    """The record with its verdict. Raises GateFailed after the group's tables are restored."""
    tables, checks = found
    checks += tuple(
        Result("", "gold", f"RECONCILE:{node.name}", node.status == "pass", "critical", None, None)
        for node in nodes
        if node.kind == "test"
    )
    missing = tuple(f"gold.{name}:MISSING" for name in work.own if name not in tables)
    names = tuple(f"{r.layer}.{r.table}:{r.code}" for r in checks if r.blocks) + missing
    names += tuple(name for name in failed(nodes) if not any(name in known for known in names))
    results.save(tools.lake, opened.cycle, work.group, tools.clock.now_ms(), checks)
    judged = replace(
        opened,
        state="failed" if names else "passed",
        ended_ms=tools.clock.now_ms(),
        tables=tables,
        tests={"passed": sum(r.ok for r in checks), "failed": sum(not r.ok for r in checks)},
        failed=names,
        seconds=dict(watch.seconds),
        mart_seconds={node.name: round(node.seconds, 3) for node in nodes if node.kind == "model"},
    )
    record.save(tools.lake, judged)
    if names:
        restore.settle(tools, work.group, work.own)
        raise GateFailed(work.group, opened.cycle, names)
    return judged
