"""One cycle of one publish group, as the list of its steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from batch import gold, operations, pins, record, restore
from batch.errors import GateFailed, Stopped
from batch.pins import Pin
from batch.plan import FULL
from batch.publish import publish
from batch.record import Built, Record
from batch.settings import Prices
from batch.tools import Tools
from batch.transform import Node, failed
from caudal import log
from caudal.fault import crashpoint
from caudal.lake import Lake
from quality import days, results
from quality.marts import GROUPS, Mart
from quality.results import Result
from quality.suites import Suite
from schemas.contract import Contract
from schemas.manifest import Group, load_current

_log = log.get("batch")


@dataclass(frozen=True)
class Work:
    """What a cycle works on. `inputs` are the silver tables that it pins and checks."""

    group: str
    contracts: Mapping[str, Contract]
    marts: tuple[Mart, ...]
    suites: Mapping[str, Suite]
    inputs: Collection[str]
    diffed: Collection[str] = ()
    """Those of which the marts also need the state that published gold was built from."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    compact_files: int = 48
    tenant_files: int = 6
    slice_marts: int = 4
    ruled: Collection[str] = frozenset()
    """Own marts that read the rules of product analytics."""
    views: Mapping[str, str] = field(default_factory=dict)
    """Views that follow from settings and rules, by name: what each one selects."""
    prices: Prices = field(default_factory=Prices)
    rebuild: bool = False
    """Build every mart anew instead of merging an increment."""

    @property
    def own(self) -> tuple[str, ...]:
        """The group's marts."""
        return tuple(mart.name for mart in self.marts if mart.group == self.group)


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
        stage = _staged(tools, work)
        stage.set(tools)

    def pause() -> None:
        _go_on(tools)
        with watch.aside():
            if between():
                stage.set(tools)

    reads = {mart: tools.catalogue.content(tools.transform.sources((mart,))) for mart in work.own}
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
            moved = work.own if stage.rebuild else _moved(tools.lake, stage.entry, reads)
            nodes = _transform(tools, work, moved, stage.rebuild, pause)
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


@dataclass(frozen=True)
class Stage:
    """What the session's views show to a cycle's marts: the same from its first slice to its last."""

    work: Work
    entry: Group | None
    """What is published of the group."""
    pinned: Mapping[str, Pin]
    before: Mapping[str, Pin]
    rebuild: bool
    """Whether every mart is built anew."""
    versions: Mapping[str, int]
    """Of all published marts."""
    shown: Mapping[str, str]

    @property
    def previous(self) -> Mapping[str, int]:
        """The silver versions that published gold was built from."""
        return self.entry.silver_versions if self.entry else {}

    @property
    def inputs(self) -> Mapping[str, Pin]:
        return {name: self.pinned[name] for name in self.work.inputs if name in self.pinned}

    def set(self, tools: Tools) -> None:
        """Point the session's views at this cycle's versions."""
        contracts = self.work.contracts.values()
        tools.catalogue.pin(contracts, self.pinned, {} if self.rebuild else self.previous, self.before)
        tools.catalogue.show(self.shown)
        tools.catalogue.publish(self.work.marts, self.versions)
        for mart in self.work.own:
            if mart in self.versions:
                tools.catalogue.attach(mart)


def _staged(tools: Tools, work: Work) -> Stage:
    manifest = load_current(tools.lake)
    entry = manifest.groups.get(work.group) if manifest else None
    previous = dict(entry.silver_versions) if entry else {}
    versions = {name: t.version for g in manifest.groups.values() for name, t in g.tables.items()} if manifest else {}
    pinned = tools.heads.look(work.contracts.values())
    known = {table.name for table in pins.tables(work.contracts.values())}
    silver = {name: version for name, version in previous.items() if name in known}
    rebuild = entry is None or is_stale(tools.lake, work, entry.cycle) or not pins.grew(tools.lake, silver, pinned)
    before = None if rebuild else tools.heads.before(previous, work.diffed)
    if before is None:
        rebuild, before = True, {table: Pin(table, pins.NEVER) for table in work.diffed}
    shown = {**work.views, **(_operations(tools, work) if work.group == FULL else {})}
    return Stage(work, entry, pinned, before, rebuild, versions, shown)


def _transform(
    tools: Tools, work: Work, marts: Collection[str], rebuild: bool, pause: Callable[[], None]
) -> tuple[Node, ...]:
    """Build these marts and run the checks that read them; those of the full group in slices."""
    crash = lambda node: crashpoint("mid-dbt")  # noqa: E731  a name for it says nothing more
    if work.group != FULL:
        return tools.transform.build(marts, full_refresh=rebuild, after_each=crash)
    nodes: tuple[Node, ...] = ()
    for part in tools.transform.slices(marts, work.slice_marts):
        nodes += tools.transform.models(part, full_refresh=rebuild, after_each=crash)
        pause()
    return nodes + tools.transform.checks(marts)


def _moved(lake: Lake, entry: Group | None, reads: Mapping[str, str]) -> tuple[str, ...]:
    """The marts whose inputs are others than those of the published ones; by `reads`, a digest for each mart."""
    earlier = record.load(lake, entry.cycle) if entry else None
    known = earlier.reads if earlier else {}
    published = entry.tables if entry else {}
    return tuple(mart for mart, content in reads.items() if mart not in published or known.get(mart) != content)


def is_stale(lake: Lake, work: Work, cycle: str | None) -> bool:
    """Whether a mart that this cycle published was built by other SQL or rules than today's; the group is then built
    anew."""
    if cycle is None or work.rebuild:
        return work.rebuild
    earlier = record.load(lake, cycle)
    return earlier is None or any(
        earlier.models.get(name) != work.checksums.get(name) for name in work.own if name in earlier.tables
    )


def _operations(tools: Tools, work: Work) -> dict[str, str]:
    """The views that only marts of operations read."""
    verdicts = [results.latest(tools.lake, group) for group in GROUPS]
    return operations.views(work.contracts.values(), tools.heads.sizes(), verdicts, work.prices)


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
    for name, head in gold.heads(tools.lake, work.own).items():
        pause()
        frame = tools.catalogue.at(name, head.version)
        tables[name] = Built(head.version, head.table_id, head.rows)
        found.append(results.shape(marts[name], frame.dtypes))
        found += tools.gate.run(work.suites[f"gold.{name}"], frame, head.rows)
    for contract in work.contracts.values():
        pin, before = stage.inputs.get(contract.table), stage.previous.get(contract.table, pins.NEVER)
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
