"""Silver of one contract put back to an older version by its own writer, and caught up from raw at once.

A RESTORE undoes rows, not transaction ids: the table is opened anew afterwards, which begins new ids and takes the
ledger's lines of undone commits back. Refused is what would leave other tables with something that silver has not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from caudal.errors import UsageError
from caudal.fault import crashpoint
from caudal.lake import Lake
from schemas.contract import Contract
from streaming import base, tables
from streaming.batches import Batches
from streaming.commit import committing
from streaming.facts import SilverCommit, silver_commit
from streaming.positions import commits
from streaming.when import When, parse
from streaming.worker import Shop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Restoring:
    """The work of the command `restore`."""

    def __init__(self, shop: Shop, batches: Batches) -> None:
        self._shop, self._batches = shop, batches

    def run(self, identity: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """{contract, restored, undone (commits), batch, version}.

        Arguments: contract, to (a version, or a moment: see `when`), by. The stream waits for the RESTORE and for
        single slices only. Raises UsageError, VersionGone, and ContractHalted when the catch-up stops.
        """
        shop, batches = self._shop, self._batches
        worker = batches.worker(arguments.get("contract"))
        contract = worker.contract
        with batches.lock:
            done = made(shop.lake, contract, identity)
            if done is None:
                batches.flush()
                found = goal(shop.lake, contract, parse(str(arguments.get("to")), shop.clock.now()))
                done = {"restored": found.version, "undone": len(found.undone)}
                said = {"caudal": "restore", "id": identity, "by": str(arguments.get("by") or ""), **done}
                restore(worker.session, worker.path, contract, found.version, json.dumps(said))
                crashpoint("mid-restore")
            batches.reopen(worker)
        while worker.behind and worker.halted is None:
            with batches.lock:
                worker.catch_up(batches.raw.batch, most=1)
        if worker.halted is not None:
            raise worker.halted
        batches.flush()
        return {"contract": contract.id, **done, "batch": worker.covered, "version": worker.version}


@dataclass(frozen=True)
class Goal:
    """The version to go back to, and the facts of the commits that this undoes."""

    version: int
    undone: tuple[SilverCommit, ...]


def made(lake: Lake, contract: Contract, identity: str) -> dict[str, int] | None:
    """What a restore of this command's id has done already: its answer was lost, and the command came again."""
    for _, entry, _ in commits(lake, contract.table, _opened(lake, contract).version()):
        found = _said(entry.get("userMetadata"))
        if entry.get("operation") == "RESTORE" and found.get("id") == identity:
            return {name: int(found[name]) for name in ("restored", "undone")}
    return None


def goal(lake: Lake, contract: Contract, to: When) -> Goal:
    """The version named, or the newest one of that moment.

    Raises UsageError for a version that the table cannot go back to, VersionGone for one that its log has lost.
    """
    opened = _opened(lake, contract)
    told = list(commits(lake, contract.table, opened.version()))
    where = f"silver/{contract.table}"
    if isinstance(to, datetime):
        at = to.astimezone(UTC).timestamp() * 1000
        found = [version for version, entry, _ in told if int(entry["timestamp"]) <= at]
        if not found:
            raise base.gone(contract, None, f"the log begins at version {told[-1][0]}, after that moment")
        to = found[0]
    if to >= told[0][0]:
        raise UsageError(f"there is nothing to undo behind version {to}", where=where, fix="name an earlier version")
    entry = next(((entry, undone) for version, entry, undone in told if version == to), None)
    if entry is None:
        raise base.gone(contract, to, f"the log begins at version {told[-1][0]}")
    # A RESTORE itself is no undone version: its content is that of the version that it went back to.
    if entry[1] and entry[0].get("operation") != "RESTORE":
        raise UsageError(
            f"version {to} was itself undone by a restore", where=where,
            fix="name a version before that restore, or one after it",
        )  # fmt: skip
    facts = [silver_commit(e.get("userMetadata")) for version, e, undone in told if version > to and not undone]
    undone = tuple(one for one in facts if one is not None)
    _refuse(opened, contract, to, undone)
    return Goal(to, undone)


def restore(session: SparkSession, path: str, contract: Contract, version: int, said: str) -> None:
    """One RESTORE, whose commit says whose command it was. Raises VersionGone when files of the version are gone."""
    try:
        with committing(session, said):
            session.sql(f"RESTORE TABLE delta.`{path}` TO VERSION AS OF {version}").collect()
    except Exception as error:
        if base.missing(error):
            raise base.gone(contract, version, "its files were vacuumed") from error
        raise


def _refuse(opened: DeltaTable, contract: Contract, to: int, undone: tuple[SilverCommit, ...]) -> None:
    where = f"silver/{contract.table}, version {to}"
    anew = f"choose a later version, or: caudal rebuild silver {contract.id}"
    try:
        opened.load_as_version(to)
    except Exception as error:
        raise base.gone(contract, to, type(error).__name__) from error
    made_for, now = opened.metadata().configuration.get(tables.IDENTITY), tables.identity(contract)
    if made_for not in (None, now):
        raise UsageError(
            "that version was made for another mode, key or sequence", where=where,
            why=f"made for {made_for}; the contract says {now}", fix=anew,
        )  # fmt: skip
    if contract.history and any(one.replay is not None for one in undone):
        raise UsageError(
            "healed dead letters would be undone in silver and not in its history", where=where,
            why="the history is not restored: it is told from the changes", fix=anew,
        )  # fmt: skip
    if any(line.read == 0 and line.dead_letter > 0 and not one.parked for one in undone for line in one.lines):
        raise UsageError(
            "a rebuild would be undone that refused records which silver had", where=where,
            why="their dead letters stay", fix=anew,
        )  # fmt: skip


def _said(metadata: str | None) -> dict[str, Any]:
    try:
        found = json.loads(metadata or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.get("caudal") == "restore" else {}


def _opened(lake: Lake, contract: Contract) -> DeltaTable:
    return DeltaTable(lake.table("silver", contract.table), storage_options=lake.storage_options or None)
