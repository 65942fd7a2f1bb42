"""Steps 5 to 10 for one contract: raw rows become silver rows, dead letters and one line of the ledger.

A slice is all of a contract's raw rows after what its table covers, up to some batch: one micro-batch when the stream
runs, several when the contract is caught up. Everything before the silver commit can run again.

A live slice is judged while its rows are still on their way into raw. Nothing is committed before they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from caudal.clock import Clock
from caudal.fault import crashpoint
from schemas.contract import Contract
from schemas.tables import silver_columns
from streaming import append, history, known, partial, quarantine, truncates, upsert
from streaming.check import checked
from streaming.commit import Txn, merge
from streaming.decode import decoded
from streaming.errors import ContractHalted
from streaming.facts import Facts, Parked, SilverCommit
from streaming.handed import Handed
from streaming.held import held
from streaming.history import History
from streaming.ids import Ids
from streaming.keys import Keys
from streaming.measure import Judged, Looked, judge, judged, look
from streaming.project import projected
from streaming.raw import TopicPart
from streaming.settings import StreamingSettings
from streaming.silver import SilverTable
from streaming.staged import stage
from streaming.suppress import suppressed
from streaming.vectors import Places
from streaming.writers import Resolved

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Slice:
    """Raw-shaped rows of one contract's topic in batches [first_batch, batch], and what they hold.

    `upto` is the highest raw batch that silver covers afterwards. `retried` says that these rows were parked before.
    `landed` waits until the rows are in raw and says when that was (epoch ms; None: long ago), or raises NotLanded;
    `looked` is told when the first pass over them is done.
    """

    rows: DataFrame
    first_batch: int
    batch: int
    upto: int
    part: TopicPart
    retried: Parked | None = None
    landed: Callable[[], int | None] = lambda: None
    looked: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Target:
    """Where a slice's outcome goes. `next_version` is the version that the silver commit will have.

    `ids` are those that the table of an append contract is known to hold, `keys` those of another contract's, when its
    writer keeps them.
    """

    session: SparkSession
    table: SilverTable
    path: str
    dead_letters: Handed
    silver: Txn
    dead: Txn
    dead_covered: int
    next_version: int
    history: History | None = None
    ids: Ids | None = None
    keys: Keys | None = None


@dataclass(frozen=True)
class Classified:
    """Rows with `_state`, their counts, and of an append contract those that are not applied. `remember` is called when
    they are in silver."""

    rows: DataFrame
    judged: Judged
    left: pa.Table | None = None
    remember: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Outcome:
    """What a slice led to, for the ledger and the metrics."""

    commit: SilverCommit
    codes: Mapping[str, int]
    published_ms: tuple[int, int, int] | None
    raw_at_ms: int | None


def run(
    piece: Slice,
    contract: Contract,
    verdicts: Mapping[int, Resolved],
    target: Target,
    own: StreamingSettings,
    erased: DataFrame | None,
    clock: Clock,
) -> Outcome:
    """Bring one slice to silver. Raises ContractHalted (and whatever Spark raises) with silver untouched."""
    waiting = {i: n for i, n in piece.part.ids.items() if i is not None and verdicts[i].verdict == "waits"}
    if waiting and contract.mode == "cdc":
        raise ContractHalted(
            "records wait for a schema that is not known yet",
            where=f"{contract.id}, batch {piece.batch}, schema ids {sorted(waiting)}",
            why="change records cannot be applied out of order, so the whole contract waits",
            fix="release the contract's version, or bring the registry back",
            code="CDL-UNKNOWN-ID",
        )
    rows = piece.rows.where(f"schema_id IS NULL OR schema_id NOT IN ({_listed(waiting)})") if waiting else piece.rows
    writers = [r.writer for r in verdicts.values() if r.verdict == "decodes" and r.writer is not None]
    read = rows.withColumn("_decoded", decoded(contract, writers, own.max_message_bytes))
    with held(judgeable(read, contract, verdicts, own, erased)) as fine:
        seen = look(fine, contract)
        piece.looked()
        with classified(fine, contract, target, seen) as found:
            codes = _codes(seen, found.judged)
            facts = _facts(piece, contract, waiting, found.judged, codes)
            facts.balance()
            commit = SilverCommit(contract.id, piece.upto, (facts,), _parked(piece, contract, waiting))
            letters = quarantine.dead_letters(seen, found.left, contract, clock.now())
            with _quarantined(letters, target, piece.landed):
                finish = prepared(found.rows, contract, target, found.judged, commit.text())
            raw_at_ms = piece.landed()
            crashpoint("mid-silver")
            finish()
            found.remember()
            crashpoint("after-silver")
    return Outcome(commit, codes, seen.published_ms, raw_at_ms)


def judgeable(
    read: DataFrame,
    contract: Contract,
    verdicts: Mapping[int, Resolved],
    own: StreamingSettings,
    erased: DataFrame | None,
) -> DataFrame:
    """Steps 6 and 7 for rows with `_decoded`: silver's columns, the reason why a row is refused, masks of erased people
    emptied."""
    writers = [r.writer for r in verdicts.values() if r.verdict == "decodes" and r.writer is not None]
    return suppressed(checked(projected(read, contract, writers), contract, verdicts, own), contract, erased)


@contextmanager
def classified(rows: DataFrame, contract: Contract, target: Target, looked: Looked) -> Iterator[Classified]:
    """Step 8, against silver as it stands. What took long to find out is kept within the block."""
    session, table, ids, keys, version = target.session, target.table, target.ids, target.keys, target.next_version
    if contract.mode == "append":
        left = append.left_out(session, rows, looked, table, contract, ids)
        fine = append.classified(session, rows, left)
        yield Classified(fine, append.judged(looked, left), left, lambda: append.remember(looked, left, ids, version))
    elif keys is not None and keys.advance(session, table, contract):
        told = known.told(session, rows, looked, table, contract, keys)
        fine = append.classified(session, rows, known.left(told))
        yield Classified(fine, judged(told), remember=lambda: known.remember(looked, told, keys, table, version))
    else:
        with upsert.classified(session, rows, table, contract) as out:
            yield Classified(out, judge(out))


@contextmanager
def _quarantined(letters: pa.Table, target: Target, landed: Callable[[], int | None]) -> Iterator[None]:
    """Step 9, beside what is done in the block."""
    from pyspark import inheritable_thread_target

    if not len(letters):
        yield
        return

    def write_letters() -> None:
        landed()
        quarantine.write(target.session, letters, target.dead_letters, target.dead, target.dead_covered)

    with ThreadPoolExecutor(1) as beside:
        writing = beside.submit(inheritable_thread_target(target.session)(write_letters))
        yield
        writing.result()


def _codes(seen: Looked, judged: Judged) -> dict[str, int]:
    codes = dict(seen.codes)
    if judged.states.get("conflict"):
        codes["CDL-CONFLICT"] = judged.states["conflict"]
    return codes


def _facts(
    piece: Slice, contract: Contract, waiting: Mapping[int, int], judged: Judged, codes: Mapping[str, int]
) -> Facts:
    return Facts(
        batch=piece.batch,
        contract=contract.id,
        # A retried record was read before; now it only changes its state.
        read=0 if piece.retried else piece.part.records,
        applied=judged.states.get("applied", 0),
        duplicate=judged.states.get("duplicate", 0),
        superseded=judged.states.get("superseded", 0),
        dead_letter=sum(codes.values()),
        parked=sum(waiting.values()) - (piece.retried.records if piece.retried else 0),
        late=judged.late,
        suppressed=judged.suppressed,
        offsets={} if piece.retried else {str(p): [low, end] for p, (low, end) in sorted(piece.part.offsets.items())},
    )


def _parked(piece: Slice, contract: Contract, waiting: Mapping[int, int]) -> tuple[Parked, ...]:
    if piece.retried is not None:
        return (replace(piece.retried, records=-piece.retried.records),)
    return tuple(Parked(contract.id, piece.first_batch, piece.batch, i, n) for i, n in sorted(waiting.items()))


def prepared(rows: DataFrame, contract: Contract, target: Target, judged: Judged, metadata: str) -> Callable[[], None]:
    """Step 10: what the applied rows change in silver, in one commit that carries the facts; its history before it.

    What can be done ahead is done now; the rest is returned. The table is the one that its writer left.
    """
    before = history.stage(target.session, rows, contract, target.history) if target.history is not None else None
    final, swept = _final(rows, contract, target, judged), judged.swept or judged.truncates
    # A truncate may change any row of the table.
    silver = None if swept else stage(final, target.path, target.silver, metadata, _replaced(contract, target, judged))

    def finish() -> None:
        if before is not None:
            before.commit()
            crashpoint("after-history")
        if silver is not None:
            silver.commit()
        else:
            merge(target.session, final, target.path, contract.key, target.silver, metadata)

    return finish


def _replaced(contract: Contract, target: Target, judged: Judged) -> Places:
    """The rows of silver in whose place the new ones come."""
    # What a partial update leaves out may come from a change that is older than the row.
    changing = ("applied", "superseded") if contract.ignore_null_updates else ("applied",)
    return Places(target.table.at, judged.places(*changing), target.table.files)


def _final(rows: DataFrame, contract: Contract, target: Target, judged: Judged) -> DataFrame:
    """Silver's rows as they will be, one for each key that changes (append: the applied ones)."""
    from pyspark.sql import functions as F

    changed = _changed(rows, contract, target, judged).withColumn("_version", F.lit(target.next_version).cast("bigint"))
    return changed.select(*[F.col(f"`{column.name}`") for column in silver_columns(contract)])


def _changed(rows: DataFrame, contract: Contract, target: Target, judged: Judged) -> DataFrame:
    names = [column.name for column in silver_columns(contract) if column.name != "_version"]
    final = rows.where("_state = 'applied'").select(*names)
    if contract.ignore_null_updates:
        own = final.where(truncates.IS_TRUNCATE) if truncates.sweeps(contract) else final.limit(0)
        final = own.unionByName(partial.merged(target.session, rows, target.table, contract))
    if judged.swept or judged.truncates:
        gone = truncates.swept(target.session, rows, target.table, contract, judged.truncates > 0)
        final = final.unionByName(gone)
    return final


def _listed(ids: Mapping[int, int]) -> str:
    return ", ".join(str(i) for i in sorted(ids))
