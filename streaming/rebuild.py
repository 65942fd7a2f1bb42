"""Silver of one contract made anew from raw, beside the live table, and put in its place by one commit of its writer.

The same slices are judged by the same code into a table of their own while the stream runs; only the last slice and the
swap hold the stage's lock. Records whose dead letter is open stay dead letters (healing is `replay`'s work); replays
that were made are made again, after the same raw batch as then, so the result is what the live table must be.

It may begin at a later raw batch: then what came before is taken from the live table's version that covered just that.
Where raw was purged for its age, it begins behind that, with the live rows whose records are gone.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from caudal.fault import crashpoint
from caudal.query import Query, text
from schemas import tables as layout
from streaming import base, boundary, jvm, replay, session, sizes, slices, suppress, tables
from streaming.base import Base
from streaming.commit import Txn, append, replace_all
from streaming.errors import ContractHalted, Purged
from streaming.facts import Parked, Replayed, SilverCommit, counted
from streaming.handed import Handed
from streaming.held import held
from streaming.history import History
from streaming.raw import survey
from streaming.recount import SHOWN
from streaming.silver import SilverTable
from streaming.slices import Slice, Target

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from streaming.worker import Shop, Worker

_LOOK = 1000
_STATES = ("applied", "duplicate", "superseded", "late", "suppressed", "expired")


class Rebuild:
    """One rebuild. `done` is the raw batch that the new table covers."""

    def __init__(self, shop: Shop, worker: Worker, identity: str) -> None:
        self._shop, self._worker, self._identity = shop, worker, identity
        self._contract = worker.contract
        self._session = shop.spark.newSession()
        session.read_by(self._session, sizes.column_rows(worker.record_bytes))
        self._name = f"{self._contract.table}__rebuild"
        self._path = shop.lake.spark_table("silver", self._name)
        self._letters = shop.lake.spark_table("quarantine", self._name)
        self._handed = Handed(shop.lake, ("quarantine", self._name))
        self._history_name = f"{self._contract.history_table}__rebuild"
        self._history_path = shop.lake.spark_table("silver", self._history_name)
        self._history: SilverTable | None = None
        self._counts: Counter[str] = Counter()
        self._parked: list[Parked] = []
        self._orders: list[Replayed] = []
        self._table: SilverTable | None = None
        self._first = 1
        self.done = 0

    def made(self) -> dict[str, Any] | None:
        """What a rebuild of this identity has done already: its answer was lost, and the command came again."""
        target = self._worker.aimed(self._swapped())
        if target.table.transaction(target.silver.app) is None:
            return None
        nothing = {**dict.fromkeys(_STATES, 0), "dead_letter": 0}
        return self._found(target.next_version - 1, self._ledger()["applied"], nothing)

    def begin(self, first: int = 1) -> None:
        """A table beside the live one, whatever an earlier attempt has left: empty, or with what the live table had
        when it covered all before raw batch `first`.

        Raises VersionGone and IdentityDrift. The ledger must be flushed.
        """
        contract = self._contract
        start = base.find(self._shop.lake, contract, first) if first > 1 else None
        purged = self._purged(start)
        self.clear()
        cluster = (contract.event_time, contract.event_id) if contract.mode == "append" else contract.key[:4]
        columns, properties = layout.silver_columns(contract), layout.silver_properties(contract)
        self._session.sql(layout.create_sql(self._path, columns, cluster, properties))
        self._session.sql(layout.create_sql(self._letters, layout.DEAD_LETTERS))
        self._table = SilverTable(self._shop.lake, self._name)
        if contract.history:
            tables.create_history(self._session, self._history_path, contract)
            self._history = SilverTable(self._shop.lake, self._history_name)
        # Replays that what is taken over was made with are in it.
        self._orders = self._made()
        if start is not None:
            self._orders = [order for order in self._orders if order.covered >= first]
            self._start(start)
        elif purged:
            self._orders = [order for order in self._orders if order.last > purged]
            self._take(self._worker.version, purged, f"batch <= {purged}", f"_batch <= {purged}")
            if contract.mode == "append":
                # Rows that went for their age are those that these lines have more of.
                there = Query(self._shop.lake)
                there.table("t", "silver", self._name)
                self._counts["expired"] = self._counts["applied"] - int(there.one("SELECT count(*) FROM t"))

    def advance(self, upto: int) -> bool:
        """One slice, or one replay, towards raw's batch `upto`; false when there is none left."""
        if self._orders and self._orders[0].covered <= self.done:
            self._again(self._orders.pop(0))
            return True
        goal = min(upto, self._orders[0].covered) if self._orders else upto
        # Raw's files are told apart by their batches, so a look at some of them reads only these.
        goal = min(goal, self.done + _LOOK)
        raw = self._raw().where(f"_batch > {self.done} AND _batch <= {goal}")
        last = self._slice_end(raw)
        if last is not None:
            self._slice(raw.where(f"_batch <= {last}"), self.done + 1, last, Txn(f"rebuild/{self._identity}", last))
        self.done = goal if last is None else last
        return self.done < upto or bool(self._orders)

    def pinned(self) -> int:
        """The live table's version that covers the same raw batch. Callers hold the stage's lock."""
        self._meets()
        return self._worker.aimed(self._swapped()).next_version - 1

    def differences(self, version: int) -> dict[str, Any]:
        """Rows of the live table at `version` and of this one that the other has not, the writing commit apart.

        Where people were erased, their masks, refs and tokens are left out of it. So is what a partial update's row
        remembers for later ones (`_set_by`): the same row may remember more or less of what no longer matters, by where
        slices end. Nothing of a row is told but its place: {contract, batch, version, rows, differ, at}.
        """
        from pyspark.sql import functions as F

        contract = self._contract
        session.suit(self._session, self._rows(), self._shop.own)
        erased = suppress.erased_refs(self._session, self._shop.lake) is not None
        personal = ("mask", "token", "ref") if erased else ()
        columns = [
            F.expr(
                f"CASE WHEN cardinality(`{c.name}`) > 0 THEN array_sort(map_entries(`{c.name}`)) END AS `{c.name}`"
                if c.spark_type.startswith("MAP<")
                else f"`{c.name}`"
            )
            for c in layout.silver_columns(contract)
            if c.role not in personal and c.name not in ("_version", "_suppressed", layout.SET_BY)
        ]
        place = F.expr("concat(_partition, '@', _offset)").alias("at")
        digest = F.xxhash64(F.to_json(F.struct(*columns))).alias("digest")
        young = f"NOT coalesce({boundary.expired(contract, boundary.horizon(self._shop, self._worker))}, false)"
        live = self._session.read.format("delta").option("versionAsOf", version).load(self._worker.path).where(young)
        made = self._session.read.format("delta").load(self._path).where(young)
        both = live.select(digest, place, F.lit(1).alias("n")).unionByName(
            made.select(digest, place, F.lit(-1).alias("n"))
        )
        apart = both.groupBy("digest").agg(F.sum("n").alias("n"), F.min("at").alias("at")).where("n <> 0")
        with held(apart) as found:
            shown = [row["at"] for row in found.select("at").distinct().orderBy("at").limit(SHOWN).collect()]
            differ = found.count()
        named = {"contract": contract.id, "from_batch": self._first, "batch": self.done, "version": version}
        return {**named, "rows": made.count(), "differ": differ, "at": shown}

    def swap(self) -> dict[str, Any]:
        """Put the new table in the live one's place. Callers hold the stage's lock and have flushed the ledger."""
        from pyspark.sql import functions as F

        shop, worker, contract = self._shop, self._worker, self._contract
        self._meets()
        before, waiting = self._ledger(), shop.ledger.parked(contract.id)
        horizon = boundary.horizon(shop, worker)
        old = f"coalesce({boundary.expired(contract, horizon)}, false)"
        made = worker.session.read.format("delta").load(self._path)
        self._counts["expired"] += made.where(old).count()
        states = {name: self._counts[name] - before[name] for name in _STATES}
        parked = sum(p.records for p in self._parked) - sum(p.records for p in waiting)
        refused = -(states["applied"] + states["duplicate"] + states["superseded"] + parked)
        line = counted(self.done, contract.id, {**states, "read": 0, "dead_letter": refused, "parked": parked})
        line.balance()
        commit = SilverCommit(
            contract.id,
            self.done,
            (line,),
            (*(replace(p, records=-p.records) for p in waiting), *self._parked),
        )
        session.suit(worker.session, self._rows(), shop.own)
        new = worker.session.read.format("delta").load(self._letters)
        dead = shop.lake.spark_table(*tables.DEAD_LETTERS)
        append(new, dead, Txn(worker.app(f"dead/rebuild/{self._identity}"), 1))
        target = worker.aimed(self._swapped())
        if target.history is not None:
            versions = worker.session.read.format("delta").load(self._history_path)
            versions = versions.where(f"NOT coalesce({boundary.ended(contract, horizon)}, false)")
            replace_all(versions, target.history.path, target.history.txn)
        crashpoint("mid-rebuild")
        names = [column.name for column in layout.silver_columns(contract)]
        rows = made.where(f"NOT {old}").withColumn("_version", F.lit(target.next_version).cast("bigint")).select(*names)
        replace_all(rows, target.path, target.silver, commit.text())
        worker.took(commit)
        worker.adopt()
        return self._found(target.next_version, self._counts["applied"], {**states, "dead_letter": refused})

    def _meets(self) -> None:
        """Raise ContractHalted when the live table does not cover just what this one does."""
        worker, contract = self._worker, self._contract
        stopped = (worker.halted is not None or worker.behind) and not worker.drifted
        if stopped or worker.covered != self.done:
            raise ContractHalted(
                "the contract stopped while its table was made anew",
                where=contract.id,
                why=worker.halted.what if worker.halted else "raw holds batches that silver lacks",
                fix="nothing was changed; try again when it works: caudal status",
            )

    def clear(self) -> None:
        """Remove what is beside the live table: nobody's erasure would reach it."""
        for path in (self._path, self._letters, self._history_path):
            jvm.remove(self._session, path)

    def _purged(self, start: Base | None) -> int:
        """The last raw batch whose records were purged for their age. Raises Purged when that is in the way."""
        upto, why = boundary.purged_upto(self._shop, self._contract.id), ""
        if start is not None and start.covered < upto:
            why = "the version to begin with is older than what raw still has"
        elif upto and self._worker.drifted:
            why = "rows were told apart in another way, and the records that they came from are gone"
        elif upto and start is None and self._contract.ignore_null_updates:
            why = "changes that rows were put together from are gone"
        if why:
            raise Purged(
                "raw no longer has all that the table was made of",
                where=self._contract.id,
                why=f"{why}: raw was purged up to batch {upto}",
                fix=f"begin later: caudal rebuild silver {self._contract.id} --from {upto + 1}",
            )
        return upto

    def _start(self, start: Base) -> None:
        """Begin with what the live table had, and decide what waited then, which comes before all that is judged."""
        self._take(start.version, start.covered, f"silver_version <= {start.version}", "true")
        for one in start.parked:
            mine = f"schema_id = {one.schema_id} AND _batch >= {one.first_batch} AND _batch <= {one.batch}"
            txn = Txn(f"rebuild/{self._identity}/parked/{one.first_batch}-{one.schema_id}", one.batch)
            self._slice(self._raw().where(mine), one.first_batch, one.batch, txn)

    def _take(self, version: int, covered: int, lines: str, rows: str) -> None:
        """Take over rows of a version of the live table, and the counts of these lines of the ledger."""
        shop, contract = self._shop, self._contract
        erased = suppress.erased_refs(self._session, shop.lake)
        once = Txn(f"rebuild/{self._identity}/base", 1)
        self._counts.update(base.sums(shop.lake, contract, _STATES, lines))
        session.suit(self._session, self._rows(), shop.own)
        base.copy(self._session, self._worker.path, contract, version, rows, self._path, once, erased)
        if self._history is not None:
            # A version's end follows from the changes of its key, and those of keys that change again are set anew.
            live = self._session.read.format("delta").load(shop.lake.spark_table("silver", contract.history_table))
            kept = base.fitted(live.where(f"_batch <= {covered}"), layout.history_columns(contract))
            append(kept, self._history_path, once)
        self._first, self.done = covered + 1, covered

    def _slice(self, raw: DataFrame, first: int, last: int, txn: Txn) -> None:
        shop, contract = self._shop, self._contract
        dead = self._session.read.format("delta").load(shop.lake.spark_table(*tables.DEAD_LETTERS))
        known = dead.where(f"contract = {text(contract.id)} AND _batch >= {first} AND _batch <= {last}")
        with held(raw.join(known.select(*replay.PLACE).distinct(), list(replay.PLACE), "left_anti")) as rows:
            found = survey(rows).get(contract.topic)
            if found is None:
                return
            verdicts = {i: shop.writers.resolve(contract, i) for i in found.ids if i is not None}
            session.suit(self._session, found.records, shop.own)
            piece = Slice(rows, first, last, last, found)
            target = self._target(txn)
            erased = suppress.erased_refs(self._session, shop.lake)
            outcome = slices.run(piece, contract, verdicts, target, shop.own, erased, shop.clock)
        self._count(outcome.commit)
        self._parked += outcome.commit.parked

    def _again(self, order: Replayed) -> None:
        """Make a replay again, of the records that it decided then."""
        shop, contract = self._shop, self._contract
        marks = self._session.read.format("delta").load(shop.lake.spark_table(*tables.RESOLUTIONS))
        mine = marks.where(f"replay = {text(order.id)} AND _batch >= {order.first} AND _batch <= {order.last}")
        dead = replay.letters(self._session, shop.lake, contract.id, {})
        kept = mine.where("resolution = 'replayed'").select(*replay.PLACE).distinct()
        with held(dead.join(kept, list(replay.PLACE), "left_semi")) as letters:
            ids = [row["schema_id"] for row in letters.select("schema_id").distinct().limit(1000).collect()]
            verdicts = {i: shop.writers.resolve(contract, i) for i in ids if i is not None}
            target = self._target(Txn(f"rebuild/{self._identity}/{order.id}", order.last))
            erased = suppress.erased_refs(self._session, shop.lake)
            with ExitStack() as steps:
                judged = replay.judged_letters(
                    target, shop.lake, contract, verdicts, letters, order, shop.own, erased, steps
                )
                rows = steps.enter_context(held(judged))
                _, _, commit, _ = replay.run(target, contract, rows, letters, order, self.done)
        self._count(commit)

    def _made(self) -> list[Replayed]:
        """Replays whose result silver has, in the order in which they were made."""
        query = Query(self._shop.lake)
        query.table("marks", *tables.RESOLUTIONS)
        found = query.rows(
            "SELECT asked, min(at) AS at FROM marks WHERE asked IS NOT NULL GROUP BY asked "
            "HAVING sum(CASE resolution WHEN 'replayed' THEN 1 ELSE -1 END) > 0 ORDER BY at"
        )
        orders = [replay.from_text(row["asked"]) for row in found]
        mine = [order for order in orders if order.contract == self._contract.id]
        return sorted(mine, key=lambda order: order.covered)

    def _swapped(self) -> Txn:
        return Txn(self._worker.app(f"silver/rebuild/{self._identity}"), 1)

    def _found(self, version: int, applied: int, changes: dict[str, int]) -> dict[str, Any]:
        place = {"contract": self._contract.id, "batch": self._worker.covered, "version": version}
        return {**place, "from_batch": self._first, "applied": applied, "changes": changes}

    def _target(self, txn: Txn) -> Target:
        assert self._table is not None, "a rebuild is begun before it advances"
        kept = None
        if self._history is not None:
            kept = History(self._history, self._history_path, Txn(f"{txn.app}/history", txn.version))
        version = self._table.version() + 1
        return Target(self._session, self._table, self._path, self._handed, txn, txn, -1, version, kept)

    def _count(self, commit: SilverCommit) -> None:
        for line in commit.lines:
            self._counts.update({name: getattr(line, name) for name in _STATES})

    def _rows(self) -> int:
        """Rows of the new table, and no fewer than it has: those that were replaced are counted too."""
        return self._counts["applied"]

    def _ledger(self) -> dict[str, int]:
        return base.sums(self._shop.lake, self._contract, _STATES)

    def _raw(self) -> DataFrame:
        path = self._shop.lake.spark_table(*tables.RAW)
        return self._session.read.format("delta").load(path).where(f"topic = {text(self._contract.topic)}")

    def _slice_end(self, raw: DataFrame) -> int | None:
        total, last = 0, None
        for row in raw.groupBy("_batch").count().orderBy("_batch").limit(1000).collect():
            if last is not None and total + row["count"] > self._shop.own.catchup_records:
                break
            total, last = total + row["count"], row["_batch"]
        return last
