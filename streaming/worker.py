"""One contract's worker: its own session, where its table stands, and whether it is live, behind or halted.

Everything that changes silver of a contract goes through here. Callers hold the stage's lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from caudal import log
from caudal.alerts import Alerts
from caudal.clock import Clock
from caudal.errors import CaudalError
from caudal.lake import Lake
from caudal.metrics import Metrics
from schemas.contract import Contract
from schemas.distribution import Released
from schemas.tables import distinct_columns
from streaming import failures, heal, jvm, session, sizes, slices, suppress, tables
from streaming.commit import Txn
from streaming.errors import ContractHalted, ContractPaused, IdentityDrift, NotLanded, TableDrift
from streaming.facts import SilverCommit
from streaming.freshness import ValidThrough
from streaming.handed import Handed
from streaming.history import History
from streaming.ids import Ids
from streaming.keys import Keys, knowable
from streaming.landing import Landing
from streaming.ledger import Committed, Ledger
from streaming.positions import silver_position
from streaming.raw import TopicPart, survey
from streaming.settings import StreamingSettings
from streaming.silver import SilverTable
from streaming.slices import Slice, Target
from streaming.writers import Resolved, Writers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_log = log.get("streaming.worker")


@dataclass(frozen=True)
class Shop:
    """What all workers share."""

    spark: SparkSession
    lake: Lake
    own: StreamingSettings
    writers: Writers
    ledger: Ledger
    metrics: Metrics
    alerts: Alerts
    clock: Clock


class Worker:
    """The only writer of `silver/<table>` of one contract.

    `covered` is the highest raw batch in the table. `behind` says that raw holds later batches of this contract;
    `halted` is why it stopped (None when it works), `retry_at` when (monotonic seconds) it is tried again.
    """

    def __init__(self, shop: Shop, released: Released) -> None:
        self._shop = shop
        self.released = released
        # Transaction ids of a MERGE are settings of a session: side by side each needs its own.
        self.session: SparkSession = shop.spark.newSession()
        self.covered = 0
        self.behind = True
        self.halted: CaudalError | None = None
        self.retry_at = 0.0
        self._waiting = 0
        self._record_bytes = sizes.UNSEEN_BYTES
        self.through = ValidThrough()
        self._path = ""
        self._silver: SilverTable | None = None
        self._history: SilverTable | None = None
        self._version = -1
        self._generation = 0
        self._dead_covered = 0
        self._letters = Handed(shop.lake, tables.DEAD_LETTERS)
        self._ids: Ids | None = None
        self._keys: Keys | None = None

    @property
    def path(self) -> str:
        """Where the table is, for Spark."""
        return self._path

    @property
    def version(self) -> int:
        """The table's version that its only writer left."""
        return self._version

    @property
    def contract(self) -> Contract:
        return self.released.contract

    @property
    def record_bytes(self) -> int:
        """About how many bytes a record in raw has."""
        return self._record_bytes

    @property
    def settled(self) -> bool:
        """Whether silver has all that raw has of this contract."""
        open_ = self.halted is not None or self.behind or self._waiting > 0
        return not open_ and not self._shop.ledger.parked(self.contract.id)

    def open(self, flushed: int) -> None:
        """Make the table fit the contract and find out what it covers; `flushed` is the last commit in the ledger.

        After a RESTORE, new transaction ids begin and the ledger's lines of undone commits are taken back.
        """
        shop, contract = self._shop, self.contract
        self._path = tables.create_silver(self.session, shop.lake, contract)
        added = tables.evolve(self.session, shop.lake, contract)
        at = silver_position(shop.lake, contract.table, flushed)
        if at.generation != at.stored_generation:
            tables.set_generation(self.session, self._path, at.generation)
            _log.warning("restored table", contract=contract.id, generation=at.generation, covered=at.covered)
        dead = DeltaTable(shop.lake.table(*tables.DEAD_LETTERS), storage_options=shop.lake.storage_options or None)
        self._dead_covered = dead.transaction_version(self.app("dead")) or 0
        self._generation, self.behind = at.generation, True
        self._forget()
        self._silver = SilverTable(shop.lake, contract.table)
        self._history = SilverTable(shop.lake, contract.history_table) if contract.history else None
        # A log that care alone has written to for a week has lost the facts; its transactions stay for ever.
        self.covered = max(at.covered, self._silver.transaction(self.app("silver")) or 0)
        self._version = self._silver.version()
        # Before the ledger knows of them: once it does, nobody looks for replays that were cut short any more.
        heal.settle(shop, self, at)
        for version, facts in at.unflushed:
            shop.ledger.add(Committed(facts, version, shop.clock.now_ms()))
        shop.ledger.take_back(at.undone, shop.clock.now_ms())
        if added:
            _log.info("columns added", contract=contract.id, columns=added)
        self._recognise()

    def prepare(self) -> None:
        """Read what the first batch would wait for."""
        session.suit(self.session, self._opened().count(None), self._shop.own)
        for known in (self._ids, self._keys):
            if known is not None:
                known.prepare(self.session, self._opened(), self.contract)

    def release(self, released: Released) -> None:
        """Go on with a newer form of the contract: columns are added now, between batches."""
        self.released = released
        added = tables.evolve(self.session, self._shop.lake, released.contract)
        if released.contract.history and self._history is None:
            self._history = SilverTable(self._shop.lake, released.contract.history_table)
        self._version = self._opened().version()
        self._forget()
        _log.info(
            "contract released", contract=released.contract.id, version=released.contract.latest.number, added=added
        )
        self._recognise()

    @property
    def drifted(self) -> bool:
        """Whether it stopped only because its table was made for another identity; a rebuild is the way on."""
        return isinstance(self.halted, IdentityDrift)

    def adopt(self) -> None:
        """The table is this contract's now, whatever it was made for; a contract that stopped for that goes on."""
        self._forget()
        if tables.stored_identity(self._shop.lake, self.contract) != tables.identity(self.contract):
            tables.set_identity(self.session, self._path, self.contract)
            self._version = self._opened().version()
        if self.drifted:
            self.resume()

    def _recognise(self) -> None:
        """Raise IdentityDrift when the table's rows were told apart in another way than the contract says now."""
        made, now = tables.stored_identity(self._shop.lake, self.contract), tables.identity(self.contract)
        if made is None:
            self.adopt()
        elif made != now:
            raise IdentityDrift(
                "the table was made for another mode, key, sequence or history",
                where=f"silver/{self.contract.table}",
                why=f"made for {made}; the contract says {now}",
                fix=f"caudal rebuild silver {self.contract.id}, or take the contract back",
            )

    def arrived(self, records: int, record_bytes: int) -> None:
        """Raw has so many more records of this contract, of about so many bytes each; they wait until a slice brings
        them to silver."""
        rows = sizes.column_rows(record_bytes)
        if rows != sizes.column_rows(self._record_bytes):
            session.read_by(self.session, rows)
        self._record_bytes = record_bytes
        self._waits(self._waiting + records)

    def live(self, rows: DataFrame, batch: int, part: TopicPart, landing: Landing) -> None:
        """Bring this micro-batch's rows of the contract to silver, once they are in raw. A failure halts the contract,
        nothing else."""
        mine = jvm.within(self.session, rows).where(f"topic = '{self.contract.topic}'")
        self._guarded(Slice(mine, self.covered + 1, batch, batch, part, landed=landing.landed, looked=landing.begin))

    def catch_up(self, upto: int, most: int | None = None) -> None:
        """Bring raw batches after `covered` up to `upto` to silver, `most` slices at a time (all when None)."""
        shop, topic = self._shop, self.contract.topic
        raw = self.session.read.format("delta").load(shop.lake.spark_table(*tables.RAW)).where(f"topic = '{topic}'")
        done = 0
        while self.covered < upto and (most is None or done < most):
            last = self._slice_end(raw, upto)
            if last is None:
                self.covered = upto
                break
            rows = raw.where(f"_batch > {self.covered} AND _batch <= {last}")
            part = survey(rows)[topic]
            self._guarded(Slice(rows, self.covered + 1, last, last, part))
            if self.halted:
                return
            jvm.let_go()
            done += 1
        self.behind = self.covered < upto

    def retry_parked(self) -> int:
        """Try parked records again, from raw; returns how many were decided."""
        shop, decided = self._shop, 0
        for parked in shop.ledger.parked(self.contract.id):
            if shop.writers.resolve(self.contract, parked.schema_id).verdict == "waits":
                continue
            raw = self.session.read.format("delta").load(shop.lake.spark_table(*tables.RAW))
            rows = raw.where(
                f"topic = '{self.contract.topic}' AND schema_id = {parked.schema_id} "
                f"AND _batch >= {parked.first_batch} AND _batch <= {parked.batch}"
            )
            part = TopicPart({parked.schema_id: parked.records}, {})
            self._guarded(Slice(rows, parked.first_batch, parked.batch, self.covered, part, parked))
            if self.halted:
                break
            decided += parked.records
        return decided

    def halt(self, error: CaudalError) -> None:
        """Stop this contract for a while; raw goes on filling, the others go on working."""
        self.halted, self.behind = error, True
        self.retry_at = time.monotonic() + self._shop.own.halt_retry_s
        self._shop.metrics.gauge("caudal_halted", 1, contract=self.contract.id)
        _log.warning("contract halted", contract=self.contract.id, **error.facts())
        facts = {name: value for name, value in error.facts().items() if name != "code"}
        self._shop.alerts.raise_(
            error.code,
            f"{self.contract.id} is halted",
            f"halted:{self.contract.id}",
            contract=self.contract.id,
            **facts,
        )

    def resume(self) -> None:
        """Take the halt away; the next catch-up shows whether it holds."""
        if self.halted is not None:
            self.halted = None
            self._shop.metrics.gauge("caudal_halted", 0, contract=self.contract.id)

    def must_work(self, what: str) -> None:
        """Raise ContractHalted, saying what is not done, when the contract is halted or behind."""
        if self.halted is not None or self.behind:
            raise ContractHalted(
                what,
                where=self.contract.id,
                why=self.halted.what if self.halted else "raw holds batches that silver lacks",
                fix="see why: caudal status; then try again",
            )

    def alone(self, work: Callable[[], tuple[int, int]]) -> tuple[int, int]:
        """Let a command of the owner change the table; it says so with `took`. Raises ContractHalted when the contract
        is halted or behind. Callers hold the stage's lock."""
        self.must_work("the contract is halted or behind")
        self._expect(self._version)
        done = work()
        self._forget()
        return done

    def tended(self, work: Callable[[], None]) -> None:
        """Let table care change the table; its version is then the one to expect. Not while halted or behind."""
        if self.halted is not None or self.behind:
            return
        self._expect(self._version)
        work()
        self._version = self._opened().version()

    def aimed(
        self, silver: Txn, spark: SparkSession | None = None, dead: Txn | None = None, dead_covered: int = -1
    ) -> Target:
        """Where work on this contract goes, with the version that its silver commit will have."""
        return Target(
            spark or self.session,
            self._opened(),
            self._path,
            self._letters,
            silver,
            dead or silver,
            dead_covered,
            self._version + 1,
            self._kept(silver),
        )

    def _forget(self) -> None:
        """Find out anew which events or keys the table holds, when it matters."""
        own, contract = self._shop.own, self.contract
        self._ids = Ids(own.known_ids) if contract.mode == "append" else None
        self._keys = Keys(own.known_keys, session.scratch(self.session)) if knowable(contract) else None

    def _kept(self, silver: Txn) -> History | None:
        if self._history is None or not self.contract.history:
            return None
        path = self._shop.lake.spark_table("silver", self.contract.history_table)
        return History(self._history, path, Txn(f"{silver.app}/history", silver.version))

    def took(self, commit: SilverCommit) -> None:
        """Silver has this commit as its next version; its lines go to the ledger."""
        self._version += 1
        self._expect(self._version)
        self._shop.ledger.add(Committed(commit, self._version, self._shop.clock.now_ms()))

    def app(self, role: str) -> str:
        """The transaction id of a role. What a RESTORE does not touch goes on with its own."""
        generation = self._generation if role.startswith("silver") else 0
        return f"{self._shop.own.query}/{self.contract.table}/{role}/{generation}"

    def _guarded(self, piece: Slice) -> None:
        try:
            self._bring(piece)
        except NotLanded:
            # Not this contract's trouble: the query ends, and what is open is found out anew.
            self.behind = True
        except CaudalError as error:
            self.halt(error)
        except Exception as error:  # noqa: BLE001 - see the comment
            # Whatever Spark throws: the contract stops, its rows stay in raw, and it is tried again.
            self.halt(failures.named(error, f"{self.contract.id}, batch {piece.batch}"))

    def _bring(self, piece: Slice) -> None:
        shop, contract = self._shop, self.contract
        ids = [i for i in piece.part.ids if i is not None]
        verdicts = {i: shop.writers.resolve(contract, i) for i in ids}
        self._paused(verdicts, piece)
        self._expect(self._version)
        tasks = session.suit(self.session, piece.part.records, shop.own)
        session.plain(self.session, distinct_columns(contract))
        outcome = slices.run(
            replace(piece, rows=piece.rows.coalesce(tasks)),
            contract,
            verdicts,
            self._target(piece),
            shop.own,
            suppress.erased_refs(self.session, shop.lake),
            shop.clock,
        )
        self.took(outcome.commit)
        self.covered = max(self.covered, piece.upto)
        if piece.retried is None:
            self._waits(max(0, self._waiting - piece.part.records))
            if not self._shop.ledger.parked(contract.id):
                self.through.committed(piece.part.times, shop.clock.now_ms())
        if outcome.codes and piece.retried is None:
            self._dead_covered = max(self._dead_covered, piece.upto)
        self._report(outcome, shop.clock.now_ms())

    def _paused(self, verdicts: Mapping[int, Resolved], piece: Slice) -> None:
        """Raise ContractPaused when the contract rather waits than refuses what no version of it can read."""
        unread = sorted(i for i, found in verdicts.items() if found.verdict == "incompatible")
        if unread and self.contract.evolution.on_incompatible == "pause":
            raise ContractPaused(
                "records cannot be read by the contract, which waits for a version that can",
                where=f"{self.contract.id}, batch {piece.batch}, schema ids {unread}",
                why="evolution.on_incompatible is pause",
                fix="release a version that reads them, or say dead_letter there: caudal contract apply "
                + self.contract.id,
            )

    def _target(self, piece: Slice) -> Target:
        retried = piece.retried
        if retried is None:
            silver, dead = Txn(self.app("silver"), piece.upto), Txn(self.app("dead"), piece.upto)
            aimed = self.aimed(silver, dead=dead, dead_covered=self._dead_covered)
            return replace(aimed, ids=self._ids, keys=self._keys)
        # Decided once and for all, so each parked group has a transaction of its own.
        once = f"retry/{retried.first_batch}-{retried.batch}-{retried.schema_id}"
        return self.aimed(Txn(self.app(f"silver/{once}"), 1), dead=Txn(self.app(f"dead/{once}"), 1))

    def _waits(self, records: int) -> None:
        self._waiting = records
        self._shop.metrics.gauge("caudal_lag", records, stage="silver", contract=self.contract.id)

    def _opened(self) -> SilverTable:
        assert self._silver is not None, "a worker is opened before it is used"
        return self._silver

    def _expect(self, version: int) -> None:
        found = self._opened().version()
        if found != version:
            self.behind = True
            raise TableDrift(
                "the table's version is not what its only writer left",
                where=f"silver/{self.contract.table}",
                why=f"version {found} was found instead of {version}",
                fix=TableDrift.way_out,
            )

    def _slice_end(self, raw: DataFrame, upto: int) -> int | None:
        """The last batch of the next slice: as many whole batches as hold about `catchup_records` or `batch_mb`."""
        waiting = raw.where(f"_batch > {self.covered} AND _batch <= {upto}").groupBy("_batch").count()
        # A bound on what reaches the driver; the rest comes with the next slices.
        counted = waiting.orderBy("_batch").limit(1000).collect()
        self._waits(sum(row["count"] for row in counted))
        own = self._shop.own
        most = min(own.catchup_records, own.batch_mb * sizes.MB // max(1, self._record_bytes))
        total, last = 0, None
        for row in counted:
            if last is not None and total + row["count"] > most:
                break
            total, last = total + row["count"], row["_batch"]
        return last

    def _report(self, outcome: slices.Outcome, now_ms: int) -> None:
        metrics, name = self._shop.metrics, self.contract.id
        [line] = outcome.commit.lines
        metrics.count("caudal_rows_total", line.applied, stage="silver", contract=name)
        if line.late:
            metrics.count("caudal_late_total", line.late, contract=name)
        if line.duplicate:
            metrics.count("caudal_duplicates_total", line.duplicate, contract=name)
        for code, n in outcome.codes.items():
            metrics.count("caudal_rejects_total", n, stage="silver", code=code, contract=name)
        if "CDL-PLAINTEXT" in outcome.codes:
            self._shop.alerts.raise_(
                "CDL-PLAINTEXT",
                f"{name} carried personal values in clear; their raw records wait for a purge",
                f"plaintext:{name}",
                records=outcome.codes["CDL-PLAINTEXT"],
            )
        if line.applied:
            metrics.mark("first_silver")
        if outcome.published_ms and outcome.raw_at_ms is not None:
            for stage, at in (("raw", outcome.raw_at_ms), ("silver", now_ms)):
                p50, p95, p99 = (max(0.0, (at - ms) / 1000) for ms in outcome.published_ms)
                metrics.quantiles(stage, p50, p95, p99, line.read, contract=name)
