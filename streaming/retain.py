"""Rows older than the contract keeps in tables leave silver, between batches and counted; their records leave raw.

A row's age goes by its event time, a deleted key's by the time of its deletion. What silver loses is a line of the
ledger inside the very commit; what raw loses is an audited purge, by `retention`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from caudal import log
from caudal.query import Query
from streaming import boundary, tables
from streaming.batches import Batches
from streaming.commit import committing
from streaming.errors import ContractHalted, TableDrift
from streaming.facts import Facts, SilverCommit
from streaming.purge import Purging
from streaming.worker import Shop, Worker

_log = log.get("streaming.retain")
BY = "retention"


class Retaining:
    """The work of the command `retain`, and of the clock: silver daily, raw monthly (settings)."""

    def __init__(self, shop: Shop, batches: Batches, purging: Purging) -> None:
        self._shop, self._batches, self._purging = shop, batches, purging
        self._silver_at = time.monotonic() + shop.own.retain_first_s

    def tend(self) -> None:
        """What is due, if anything. Not called while a command is carried out."""
        if time.monotonic() < self._silver_at:
            return
        self._silver_at = time.monotonic() + self._shop.own.retain_every_s
        self._purging.settle()
        self.run(f"retention-{self._shop.clock.now():%Y%m%dT%H%M%S}", {})

    def run(self, identity: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """{tables: [{contract, before, rows, versions, skipped}], raw: the purge's report or None}.

        Arguments: contract (None: all), raw (purge raw now, instead of monthly), dry_run. A contract that is halted or
        behind is skipped and says why.
        """
        name, dry = arguments.get("contract"), bool(arguments.get("dry_run"))
        workers = [self._batches.worker(name)] if name else list(self._batches.workers.values())
        found = [self._silver(worker, dry) for worker in workers]
        purge = None
        if arguments.get("raw") or (not dry and self._month_is_over()):
            purge = self._purging.run(
                identity, {"contract": name, "aged": True, "by": BY, "reason": BY, "dry_run": dry}
            )
        return {"tables": found, "raw": purge, "dry_run": dry}

    def _silver(self, worker: Worker, dry: bool) -> dict[str, Any]:
        contract, before = worker.contract, boundary.horizon(self._shop, worker)
        said = {"contract": contract.id, "before": before.isoformat(), "rows": 0, "versions": 0}
        # Mostly there is nothing, which needs no lock and no job.
        rows = self._count(contract.table, boundary.expired(contract, before))
        versions = self._count(contract.history_table, boundary.ended(contract, before)) if contract.history else 0
        if dry or not rows + versions:
            return {**said, "rows": rows, "versions": versions}
        try:
            with self._batches.lock:
                versions, rows = worker.alone(lambda: (self._ended(worker, before), self._expired(worker, before)))
        except ContractHalted as error:
            return {**said, "skipped": error.what}
        _log.info("retained", contract=contract.id, rows=rows, versions=versions)
        return {**said, "rows": rows, "versions": versions}

    def _ended(self, worker: Worker, before: datetime) -> int:
        """The history first: a version that is current has its row in silver at any moment."""
        if not worker.contract.history:
            return 0
        path = self._shop.lake.spark_table("silver", worker.contract.history_table)
        where = boundary.ended(worker.contract, before)
        [done] = worker.session.sql(f"DELETE FROM delta.`{path}` WHERE {where}").collect()
        return int(done["num_affected_rows"])

    def _expired(self, worker: Worker, before: datetime) -> int:
        """Remove rows in one commit that counts them."""
        where, contract = boundary.expired(worker.contract, before), worker.contract
        rows = int(worker.session.read.format("delta").load(worker.path).where(where).count())
        if rows:
            facts = Facts(worker.covered, contract.id, expired=rows)
            commit = SilverCommit(contract.id, worker.covered, (facts,))
            with committing(worker.session, commit.text()):
                [done] = worker.session.sql(f"DELETE FROM delta.`{worker.path}` WHERE {where}").collect()
            if done["num_affected_rows"] != rows:
                raise TableDrift("other rows were removed than were counted", where=f"silver/{contract.table}")
            worker.took(commit)
        return rows

    def _count(self, table: str, where: str) -> int:
        if not self._shop.lake.has_table("silver", table):
            return 0
        query = Query(self._shop.lake)
        query.table("t", "silver", table)
        return int(query.one(f"SELECT count(*) FROM t WHERE {where.replace('`', chr(34))}"))

    def _month_is_over(self) -> bool:
        query = Query(self._shop.lake)
        query.table("purges", *tables.PURGES)
        last = query.one(f"SELECT max(at) FROM purges WHERE by = '{BY}'")
        return last is None or (self._shop.clock.now() - last).total_seconds() >= self._shop.own.purge_every_s
