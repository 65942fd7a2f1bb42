"""Replays of dead letters for one contract's worker: piece by piece, so that batches go on in between."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from streaming import replay, session, suppress, tables
from streaming.commit import Txn
from streaming.facts import Replayed
from streaming.held import held
from streaming.measure import Judged
from streaming.positions import SilverPosition

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from streaming.worker import Shop, Worker

Done = tuple[Judged, list[dict[str, Any]]]


def next_piece(shop: Shop, worker: Worker, order: Replayed) -> Replayed | None:
    """The first raw batches of the order with open letters: as many as hold about `catchup_records` of them."""
    letters = replay.open_letters(worker.session, shop.lake, order.contract, order.where)
    waiting = letters.where(f"_batch >= {order.first} AND _batch <= {order.last}").groupBy("_batch").count()
    total, first, last = 0, None, None
    for row in waiting.orderBy("_batch").limit(1000).collect():
        if last is not None and total + row["count"] > shop.own.catchup_records:
            break
        total, first, last = total + row["count"], first or row["_batch"], row["_batch"]
    return None if first is None or last is None else replace(order, first=first, last=last)


def tried(shop: Shop, worker: Worker, piece: Replayed) -> Done:
    """What a replay of this piece would do; nothing is written and nobody waits for it."""
    return _decided(shop, worker, piece, shop.spark.newSession(), dry=True)


def healed(shop: Shop, worker: Worker, piece: Replayed) -> Done:
    """Replay this piece. Raises ContractHalted when the contract is not at work. Callers hold the stage's lock."""
    worker.must_work("nothing is replayed for a contract that is halted or behind")
    return _decided(shop, worker, replace(piece, covered=worker.covered), worker.session, dry=False)


def settle(shop: Shop, worker: Worker, at: SilverPosition) -> None:
    """Finish replays that were cut short after silver's commit, and open again what a RESTORE undid."""
    path = shop.lake.spark_table(*tables.RESOLUTIONS)
    for _, facts in at.undone:
        if facts.replay is not None:
            once = Txn(worker.app(f"reopened/{facts.replay.id}/{at.generation}"), facts.replay.last)
            replay.reopen(worker.session, path, once, facts.replay, shop.clock)
    marks = DeltaTable(shop.lake.table(*tables.RESOLUTIONS), storage_options=shop.lake.storage_options or None)
    for _, facts in at.unflushed:
        if facts.replay is None:
            continue
        done = marks.transaction_version(worker.app(f"resolutions/{facts.replay.id}"))
        if done is None or done < facts.replay.last:
            _decided(shop, worker, facts.replay, worker.session, dry=False)


def _decided(shop: Shop, worker: Worker, piece: Replayed, spark: SparkSession, dry: bool) -> Done:
    lake, contract = shop.lake, worker.contract
    letters = replay.open_letters(spark, lake, contract.id, piece.where)
    with held(letters.where(f"_batch >= {piece.first} AND _batch <= {piece.last}")) as mine:
        found = mine.groupBy("schema_id").count().limit(1000).collect()
        session.suit(spark, sum(row["count"] for row in found), shop.own)
        ids = [row["schema_id"] for row in found if row["schema_id"] is not None]
        verdicts = {i: shop.writers.resolve(contract, i) for i in ids}
        target = worker.aimed(Txn(worker.app(f"silver/replay/{piece.id}"), piece.last), spark)
        erased = suppress.erased_refs(spark, lake)
        with ExitStack() as steps:
            rows = steps.enter_context(
                held(replay.judged_letters(target, lake, contract, verdicts, mine, piece, shop.own, erased, steps))
            )
            if dry:
                return replay.told(rows, mine)
            judged, kinds, commit, written = replay.run(target, contract, rows, mine, piece, worker.covered)
            if commit.lines[0].dead_letter:
                once = Txn(worker.app(f"resolutions/{piece.id}"), piece.last)
                replay.resolve(rows, lake.spark_table(*tables.RESOLUTIONS), once, piece, shop.clock)
            if written:
                worker.took(commit)
            return judged, kinds


def order(identity: str, contract: str, arguments: Mapping[str, Any], covered: int) -> Replayed:
    """The order that a command's arguments stand for: everything up to the raw batch that silver covers."""
    return Replayed(
        identity, 0, covered, str(arguments.get("by", "")), dict(arguments.get("where") or {}),
        tuple(arguments.get("fixes") or ()), contract, covered,
    )  # fmt: skip
