"""What commands ask of the tables' one writer: replay, rebuild, comparison, care. Batches go on between the pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from caudal import log
from caudal.errors import UsageError
from streaming import fixes as changes
from streaming import heal, jvm
from streaming.batches import Batches
from streaming.care import Saved
from streaming.errors import Purged
from streaming.rebuild import Rebuild
from streaming.replay import Report

_log = log.get("streaming.asked")


def replay(batches: Batches, identity: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Decide dead letters of one contract again; what became of them.

    Arguments: contract, where {code, path, since, at}, fixes, by, dry_run. Batches go on between the pieces.
    """
    worker, report = batches.worker(arguments.get("contract")), Report()
    changes.check(changes.parsed(list(arguments.get("fixes") or ())), worker.contract)
    with batches.lock:
        # What a batch just brings to silver is part of it.
        todo = heal.order(identity, worker.contract.id, arguments, worker.covered)
    while (piece := heal.next_piece(batches.shop, worker, todo)) is not None:
        if arguments.get("dry_run"):
            report.add(*heal.tried(batches.shop, worker, piece))
        else:
            with batches.lock:
                report.add(*heal.healed(batches.shop, worker, piece))
        jvm.let_go()
        todo = replace(todo, first=piece.last + 1)
    return report.plain()


def rebuild(batches: Batches, identity: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Make silver of one contract anew from raw and put it in place.

    Arguments: contract; from (see `when`): take what came before that from the version that covered it. The stream
    goes on meanwhile; it waits for the last slice and the swap.
    """
    worker = batches.worker(arguments.get("contract"))
    job = Rebuild(batches.shop, worker, identity)
    made = job.made()
    if made is not None:
        return made
    first = batches.first_batch(arguments["from"], worker.contract.topic) if arguments.get("from") else 1
    if first > 1 and (worker.drifted or worker.covered < first - 1):
        raise UsageError(
            "only the whole table can be made anew",
            where=worker.contract.id,
            why="it was made for another key" if worker.drifted else "silver does not cover raw up to there",
            fix=f"caudal rebuild silver {worker.contract.id}",
        )
    try:
        batches.flush()
        job.begin(first)
        while job.advance(worker.covered):
            jvm.let_go()
            _log.info("rebuilding", contract=worker.contract.id, batch=job.done, of=worker.covered)
        with batches.lock:
            while job.advance(worker.covered):
                pass
            batches.flush()
            return job.swap()
    finally:
        job.clear()


def compare(batches: Batches, identity: str, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Make silver anew from raw beside the live table, of one contract or of each, and say where they differ. Nothing
    is changed; the stream waits only for the last slice.

    Arguments: contract; since (see `when`): only contracts with records since then, and of them only what followed.
    """
    wanted, since = arguments.get("contract"), arguments.get("since")
    first = batches.first_batch(since) if since else 1
    found = []
    for worker in [batches.worker(wanted)] if wanted else list(batches.workers.values()):
        if first > 1 and batches.first_batch(first + 1, worker.contract.topic) <= first:
            continue
        job = Rebuild(batches.shop, worker, f"{identity}-{worker.contract.table}")
        try:
            batches.flush()
            job.begin(first)
            while job.advance(worker.covered):
                jvm.let_go()
            with batches.lock:
                while job.advance(worker.covered):
                    pass
                version = job.pinned()
            found.append(job.differences(version))
        except Purged as error:
            nothing = {"from_batch": 0, "batch": worker.covered, "rows": 0, "differ": 0, "at": []}
            found.append({"contract": worker.contract.id, **nothing, "skipped": error.why})
        finally:
            job.clear()
        _log.info("compared", **{name: found[-1][name] for name in ("contract", "batch", "rows", "differ")})
    return found


def care(batches: Batches, _: str, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Care for every table now, or for one (argument: table, as layer.name or the contract's id); what each run
    saved. Batches go on between the tables."""
    asked, known = arguments.get("table"), batches.tended.tables(batches.kept())
    own = batches.workers.get(str(asked))
    wanted = f"silver.{own.contract.table}" if own else asked
    if wanted is not None and wanted not in known:
        raise UsageError(f"there is no table `{asked}` to care for", fix=f"one of {', '.join(known)}")
    found: list[Saved] = []
    for table in [str(wanted)] if wanted else known:
        with batches.lock:
            found += batches.tended.now(batches.kept(), table, batches.record_bytes())
    return [asdict(one) for one in found]
