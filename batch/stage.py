"""What a cycle works on, and what the session's views show to its marts from its first slice to its last."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from batch import operations, pins, record
from batch.pins import Pin
from batch.plan import FULL
from batch.record import Record
from batch.settings import Prices
from batch.tools import Tools
from quality import results
from quality.marts import GROUPS, Mart
from quality.suites import Suite
from schemas.contract import Contract
from schemas.manifest import Group, load_current


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
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What each own mart reads of `pinned`, however many models lie between."""
    views: Mapping[str, str] = field(default_factory=dict)
    """Views that follow from settings and rules, by name: what each one selects."""
    prices: Prices = field(default_factory=Prices)
    rebuild: bool = False
    """Build every mart anew instead of merging an increment."""

    @property
    def own(self) -> tuple[str, ...]:
        """The group's marts."""
        return tuple(mart.name for mart in self.marts if mart.group == self.group)


@dataclass(frozen=True)
class Stage:
    """What the session's views show to a cycle's marts: the same from its first slice to its last."""

    work: Work
    entry: Group | None
    """What is published of the group."""
    earlier: Record | None
    """The record of the cycle that made it."""
    pinned: Mapping[str, Pin]
    before: Mapping[str, Pin]
    rebuild: frozenset[str]
    """The marts that are built anew instead of from what changed."""
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

    def moved(self, reads: Mapping[str, str]) -> tuple[str, ...]:
        """The marts to build: those whose inputs are others than those of the published ones, by `reads`, a digest for
        each mart."""
        published = self.entry.tables if self.entry else {}
        known = self.earlier.reads if self.earlier else {}
        new = {mart for mart, content in reads.items() if mart not in published or known.get(mart) != content}
        return tuple(mart for mart in self.work.own if mart in self.rebuild or mart in new)

    def set(self, tools: Tools) -> None:
        """Point the session's views at this cycle's versions."""
        contracts = self.work.contracts.values()
        previous = {} if self.rebuild >= set(self.work.own) else self.previous
        tools.catalogue.pin(contracts, self.pinned, previous, self.before)
        tools.catalogue.show(self.shown)
        tools.catalogue.publish(self.work.marts, self.versions)
        for mart in self.work.own:
            if mart in self.versions:
                tools.catalogue.attach(mart)


def staged(tools: Tools, work: Work) -> Stage:
    """What a cycle that begins now would show."""
    manifest = load_current(tools.lake)
    entry = manifest.groups.get(work.group) if manifest else None
    earlier = record.load(tools.lake, entry.cycle) if entry else None
    previous = dict(entry.silver_versions) if entry else {}
    versions = {name: t.version for g in manifest.groups.values() for name, t in g.tables.items()} if manifest else {}
    pinned = tools.heads.look(work.contracts.values())
    known = {table.name for table in pins.tables(work.contracts.values())}
    silver = {name: version for name, version in previous.items() if name in known}
    everything = frozenset(work.own)
    rebuild = everything
    if entry is not None and pins.grew(tools.lake, silver, pinned):
        rebuild = outdated(work, earlier)
        if rebuild:
            # A new mart may be made of a changed one, so it has its turn among those.
            rebuild |= everything - set(entry.tables)
    before = None if rebuild == everything else tools.heads.before(previous, work.diffed)
    if before is None:
        rebuild, before = everything, {table: Pin(table, pins.NEVER) for table in work.diffed}
    shown = {**work.views, **(_operations(tools, work) if work.group == FULL else {})}
    return Stage(work, entry, earlier, pinned, before, rebuild, versions, shown)


def outdated(work: Work, earlier: Record | None) -> frozenset[str]:
    """The marts that were built by other SQL or rules than today's, by the record of their cycle. What is made of such
    a mart is among them; all are, when nothing is recorded."""
    if work.rebuild or earlier is None:
        return frozenset(work.own)
    return frozenset(
        name for name in work.own if name in earlier.tables and earlier.models.get(name) != work.checksums.get(name)
    )


def _operations(tools: Tools, work: Work) -> dict[str, str]:
    """The views that only marts of operations read."""
    verdicts = [results.latest(tools.lake, group) for group in GROUPS]
    return operations.views(work.contracts.values(), tools.heads.sizes(), verdicts, work.prices)
