"""The batch loop: look at silver and at contracts, run the groups that are due, report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from batch import cycle, operations, pins, plan, product, project, record, staging
from batch.errors import BuildFailed, GateFailed
from batch.pins import NEVER, Pin
from batch.plan import FULL, LIVE
from batch.record import Record
from batch.report import report_anomalies, report_failure, report_published
from batch.settings import BatchSettings
from batch.stage import Work, outdated
from batch.tools import Tools
from batch.verify import chain
from caudal import log
from privacy import masks
from quality import days, results, suites
from quality import marts as mart_files
from quality.anomalies.watch import look
from quality.marts import GROUPS, Mart
from quality.results import Result
from quality.settings import QualitySettings
from quality.suites import Suite
from schemas.contract import Contract
from schemas.errors import RulesError
from schemas.manifest import Manifest, load_current
from schemas.product import ProductRules
from schemas.product import load as load_rules

_log = log.get("batch")
# A group whose cycle failed waits this long: the same input would fail again, and each try costs a whole cycle.
RETRY_S = 30.0


class Loop:
    """All that one process needs to keep both publish groups up to date."""

    def __init__(self, tools: Tools, settings: BatchSettings, quality: QualitySettings, working_copy: Path) -> None:
        self.tools, self._settings, self._quality = tools, settings, quality
        self._source, self._copy = project.source_dir(settings), working_copy
        self._contracts: dict[str, Contract] = {}
        self._digest = ""
        self._suites: dict[str, Suite] = {}
        self._live_since_full = 0
        self._full_at = time.monotonic()
        self._not_before: dict[str, float] = {}
        self._works: dict[str, Work] = {}
        self._looked_in: int | None = None
        self._rules: ProductRules = load_rules(settings.product_rules)

    def learn(self, contracts: Iterable[Contract]) -> bool:
        """Take in new or changed contracts: sources, staging and suites follow at once. True when anything changed.

        As long as a contract that the marts need has not arrived nothing happens: they come one after the other.
        """
        self._contracts.update({contract.id: contract for contract in contracts})
        missing = project.needed(self._source) - {
            name for one in self._contracts.values() for name in staging.model_names(one)
        }
        if missing:
            _log.info("waiting for contracts", missing=sorted(missing))
            return False
        digest = project.sync(
            self._source, self._copy, self.tools.lake.spark_table("gold", "").rstrip("/"), self._contracts.values()
        )
        if digest == self._digest:
            return False
        found = mart_files.read(self._copy)
        self.tools.transform.parse()
        self._suites = suites.for_all(self._contracts.values(), found, masks.forms())
        manifest = load_current(self.tools.lake)
        pinned = self.tools.heads.look(self._contracts.values())
        before = {table.name: Pin(table.name, NEVER) for table in pins.replaced(self._contracts.values())}
        self.tools.catalogue.pin(self._contracts.values(), pinned, {}, before)
        # Nothing reads these before a cycle shows what they hold, but views are made on them now.
        self.tools.catalogue.show(product.views(self._rules))
        self.tools.catalogue.show(operations.views(self._contracts.values(), {}, (), self._settings.prices))
        self.tools.catalogue.publish(found, _versions(manifest))
        self.tools.transform.views()
        inputs = self._inputs(found)
        for group in GROUPS:
            own = tuple(mart.name for mart in found if mart.group == group)
            self._works[group] = Work(
                group=group,
                contracts=dict(self._contracts),
                marts=found,
                suites=self._suites,
                inputs=inputs[group],
                diffed=self.tools.transform.diffed(own),
                checksums=self.tools.transform.checksums(own),
                sources={mart: self.tools.transform.sources((mart,)) for mart in own},
                compact_files=self._settings.compact_files,
                tenant_files=self._settings.tenant_files,
                slice_marts=self._settings.slice_marts,
                prices=self._settings.prices,
            )
        self._digest = digest
        _log.info("contracts taken in", contracts=sorted(self._contracts), marts=len(found))
        return True

    def _inputs(self, marts: Iterable[Mart]) -> dict[str, frozenset[str]]:
        """The silver tables of each group: those that its marts read, and for the full one those that no mart reads.

        So every contract's checks run in some cycle, also those of a contract that has no mart yet.
        """
        named = {group: tuple(mart.name for mart in marts if mart.group == group) for group in GROUPS}
        read = {group: self.tools.transform.inputs(own) for group, own in named.items()}
        unread = {table.name for table in pins.tables(self._contracts.values())}.difference(*read.values())
        return {**read, FULL: read[FULL] | unread}

    def work(self, group: str, *, rebuild: bool = False) -> Work:
        """What a cycle of the group works on, by the rules as they are now."""
        known = self._works[group]
        checksums = {
            mart: f"{checksum}+{self._rules.digest}" if known.sources[mart] & product.RULE_VIEWS else checksum
            for mart, checksum in known.checksums.items()
        }
        return replace(known, rebuild=rebuild, checksums=checksums, views=product.views(self._rules))

    def check_published(self) -> tuple[Result, ...]:
        """Run the marts' suites on the published versions, outside any cycle."""
        manifest = load_current(self.tools.lake)
        found: list[Result] = []
        # Relationships look into marts of their own group.
        for mart in manifest.tables if manifest else ():
            self.tools.catalogue.attach(mart)
        for mart, table in (manifest.tables if manifest else {}).items():
            frame = self.tools.catalogue.at(mart, table.version)
            found += self.tools.gate.run(self._suites[f"gold.{mart}"], frame, table.rows)
        return tuple(found)

    def turn(self) -> tuple[Record, ...]:
        """Look once and run what is due. A group that fails is reported and waits; the other goes on."""
        if not self._works:
            return ()
        self._look_at_rules()
        done = (self._run(group.group, group.why) for group in self._due())
        return tuple(record for record in done if record is not None)

    def _due(self) -> tuple[plan.Due, ...]:
        heads = pins.versions(self.tools.heads.look(self._contracts.values()))
        manifest = load_current(self.tools.lake)
        states = {
            group: plan.State(work.inputs, _published(manifest, group))
            for group, work in self._works.items()
            if time.monotonic() >= self._not_before.get(group, 0.0)
        }
        return plan.due(
            states,
            heads,
            live_since_full=self._live_since_full,
            seconds_since_full=time.monotonic() - self._full_at,
            full_every=self._settings.full_every,
            full_after_s=self._settings.full_after_s,
            changed_models=self._outdated(manifest),
        )

    def _look_at_rules(self) -> None:
        """Read the rules again. While the file is wrong the last good ones hold, and somebody is told."""
        try:
            self._rules = load_rules(self._settings.product_rules)
        except RulesError as error:
            self.tools.alerts.raise_(error.code, error.what, "product-rules", where=error.where, why=error.why)

    def _outdated(self, manifest: Manifest | None) -> tuple[str, ...]:
        """Groups whose published marts were built by other SQL or by other rules than today's."""
        entries = manifest.groups if manifest else {}
        return tuple(
            group
            for group in self._works
            if group in entries and outdated(self.work(group), record.load(self.tools.lake, entries[group].cycle))
        )

    def _run(self, group: str, why: str) -> Record | None:
        _log.info("cycle begins", group=group, why=why)
        previous = _published(load_current(self.tools.lake), group) or {}
        started_ms = self.tools.clock.now_ms()
        try:
            done = cycle.run(self.tools, self.work(group), self._live_between if group == FULL else cycle.nothing)
        except (GateFailed, BuildFailed) as error:
            self._not_before[group] = time.monotonic() + RETRY_S
            report_failure(self.tools, group, error)
            days.add_cycle(self.tools.lake, group, started_ms, self.tools.clock.now_ms(), ok=False)
            return None
        if group == LIVE:
            self._live_since_full += 1
        else:
            self._live_since_full, self._full_at = 0, time.monotonic()
            self._prune()
            self._unusual()
        report_published(self.tools, done, self._works[group], previous)
        return done

    def _live_between(self) -> bool:
        """Between two slices of the full group: a cycle of the live one, when it is due."""
        due = [one for one in self._due() if one.group == LIVE]
        for one in due:
            self._run(LIVE, one.why)
        return bool(due)

    def _unusual(self) -> None:
        """Once an hour: is the input as usual? Whatever goes wrong with that is no reason to stop cycles."""
        now = self.tools.clock.now()
        if now.hour == self._looked_in:
            return
        self._looked_in = now.hour
        try:
            found, looked = look(self.tools.lake, self._contracts.values(), now, self._quality.holidays, since_hours=1)
        except Exception as error:  # noqa: BLE001
            _log.warning("nobody knows whether the input is as usual", why=type(error).__name__)
            return
        report_anomalies(self.tools, found, looked)

    def _prune(self) -> None:
        manifest = load_current(self.tools.lake)
        groups = manifest.groups.values() if manifest else ()
        needed = frozenset(link.cycle for group in groups for link in chain(self.tools.lake, group.cycle))
        record.prune(self.tools.lake, self._settings.keep_cycles, needed)
        results.prune(self.tools.lake, self._quality.keep_results, needed)


def _published(manifest: Manifest | None, group: str) -> Mapping[str, int] | None:
    entry = manifest.groups.get(group) if manifest else None
    return entry.silver_versions if entry else None


def _versions(manifest: Manifest | None) -> dict[str, int]:
    return {mart: table.version for mart, table in manifest.tables.items()} if manifest else {}
