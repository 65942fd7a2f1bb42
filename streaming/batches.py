"""One micro-batch from Kafka to the ledger, and what has to be done between batches. All of it under one lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from caudal import log
from caudal.errors import UsageError
from caudal.fault import crashpoint
from caudal.query import Query
from schemas.distribution import Released
from streaming import failures, positions, raw, registered, session, sizes, tables
from streaming.care import Care
from streaming.commit import Txn
from streaming.facts import RawCommit
from streaming.held import held
from streaming.landing import Landing
from streaming.raw import TopicPart
from streaming.tend import Kept, directly
from streaming.when import first_batch, parse
from streaming.worker import Shop, Worker

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_log = log.get("streaming.batches")


class Batches:
    """The stage's state: raw's position and one worker for each contract.

    `lock` is held by whoever writes: a micro-batch, a command, a release of contracts, or a retry. `topic_ids` are
    those of the topics that are read; `begin_again` says that raw's positions moved and the query must start from them.
    """

    def __init__(self, shop: Shop) -> None:
        self.shop = self._shop = shop
        self.lock = threading.RLock()
        self.closing = False
        self.raw = RawCommit(0, {})
        self.topic_ids: dict[str, str] = {}
        self.begin_again = False
        self.waiting: Mapping[str, int] = {}
        """Records by topic that Kafka has and raw has not, as of the last look."""
        self.workers: dict[str, Worker] = {}
        self._topics: dict[str, Worker] = {}
        self._parked_at = 0.0
        self.tended = Care(shop.spark, shop.lake, shop.own, shop.metrics, self.flush)
        self._landing = ThreadPoolExecutor(1, thread_name_prefix="raw")
        self._pool = ThreadPoolExecutor(shop.own.workers, thread_name_prefix="contract")

    def open(self, released: Iterable[Released]) -> None:
        """Find out where everything stands and catch up from raw. Called once, and again after a failed query."""
        with self.lock:
            tables.create_fixed(self._shop.spark, self._shop.lake)
            self.raw = positions.raw_position(self._shop.lake)
            self._add(released)
            for topic, size in self.raw.sizes.items():
                if topic in self._topics:
                    self._topics[topic].arrived(0, size)
            for worker in self.workers.values():
                # After a failed query nobody knows who saw its last batch; only raw and the tables do.
                worker.behind = worker.covered < self.raw.batch
            self._catch_up_all()

    def release(self, released: Iterable[Released]) -> bool:
        """Take in new contracts and versions; true when there is a new topic to read."""
        with self.lock:
            known = set(self._topics)
            self._add(released)
            self._retry_parked()
            for worker in self.workers.values():
                worker.retry_at = 0.0
            self._tend()
            return set(self._topics) != known

    def most_records(self) -> int:
        """Records that the next batch may have, by what is known of their sizes."""
        # Asked without the lock, while contracts may be added: a copy of the names is made at once.
        own, waiting, topics = self._shop.own, self.waiting, list(self._topics)
        wanted = {topic: waiting.get(topic, 0) for topic in topics} if waiting else dict.fromkeys(topics, 1)
        return sizes.most_records(self.raw.sizes, wanted, own.batch_mb * sizes.MB, own.batch_records)

    def topics(self) -> list[str]:
        """Topics of all contracts known."""
        return sorted(self._topics)

    def process(self, frame: DataFrame, _: int) -> None:
        """foreachBatch's function. Spark's own batch number is scratch: raw's decides."""
        with self.lock:
            if self.closing:
                return
            self._process(frame)
            self._tend()
            crashpoint("before-checkpoint")

    def tend(self) -> None:
        """Retries that are due, when no batch runs just now."""
        if self.lock.acquire(blocking=False):
            try:
                if not self.closing:
                    self._tend()
            finally:
                self.lock.release()

    def catch_up(self, contract: str | None = None) -> dict[str, int]:
        """Try halted and behind contracts now; what each covers afterwards (a command's work)."""
        with self.lock:
            for worker in self.workers.values():
                if contract in (None, worker.contract.id) and worker.behind:
                    self.reopen(worker)
                    worker.catch_up(self.raw.batch)
            return {name: worker.covered for name, worker in sorted(self.workers.items())}

    def first_batch(self, when: object, topic: str | None = None) -> int:
        """The raw batch that `when` (see `when`) stands for, of one topic or of all. Raises UsageError."""
        raw = Query(self._shop.lake)
        raw.table("raw", *tables.RAW)
        return first_batch(raw, parse(str(when), self._shop.clock.now()), topic)

    def worker(self, contract: object) -> Worker:
        """The worker of a contract's id. Raises UsageError when there is none."""
        worker = self.workers.get(str(contract))
        if worker is None:
            raise UsageError(f"no contract `{contract}` has been applied", fix="see: caudal contract list")
        return worker

    def moved(self, facts: RawCommit) -> None:
        """Raw's positions are these now, without a batch. Callers hold the lock."""
        self.raw, self.begin_again = facts, True

    def close(self) -> None:
        """No batch begins after this; waits for the one that runs."""
        with self.lock:
            self.closing = True
            self.tended.settle()

    def _process(self, frame: DataFrame) -> None:
        from pyspark import inheritable_thread_target

        shop, number = self._shop, self.raw.batch + 1
        started, began_ms = time.monotonic(), shop.clock.now_ms()
        date = shop.clock.now().date().isoformat()
        with held(raw.shaped(frame, number, date, shop.spark.sparkContext.defaultParallelism)) as rows:
            parts = raw.survey(rows, sized=True)
            if not parts:
                return
            crashpoint("after-read")
            session.suit(rows.sparkSession, sum(part.records for part in parts.values()), shop.own)
            self._keep_schemas(parts, number)
            known = sizes.observed(self.raw.sizes, parts)
            facts = RawCommit(number, _further(self.raw.ends, parts), {**self.raw.ids, **self.topic_ids}, known)
            for topic, part in parts.items():
                self._topics[topic].arrived(part.records, known[topic])
            # Rows are judged before or while they go into raw; what is made of them is committed after that.
            land = inheritable_thread_target(rows.sparkSession)(self._land)
            landing = Landing(lambda: self._landing.submit(land, rows, facts, parts))
            if sum(part.records for part in parts.values()) < shop.own.interpret_below:
                landing.begin()
            try:
                self._to_silver(rows, parts, number, landing)
            finally:
                raw_s = (landing.result() - began_ms) / 1000
        took = time.monotonic() - started
        shop.metrics.gauge("caudal_batch_seconds", took)
        _log.info(
            "batch", batch=number, rows=sum(p.records for p in parts.values()), contracts=len(parts), s=round(took, 2),
            raw_s=round(raw_s, 2),
        )  # fmt: skip

    def _land(self, rows: DataFrame, facts: RawCommit, parts: Mapping[str, TopicPart]) -> int:
        """Append the batch to raw; when it was there, in epoch milliseconds."""
        shop = self._shop
        txn, largest = Txn(f"{shop.own.query}/raw", facts.batch), max(part.largest for part in parts.values())
        raw.append_raw(rows, shop.lake.spark_table(*tables.RAW), txn, facts, largest)
        self.raw, at = facts, shop.clock.now_ms()
        shop.metrics.mark("first_raw")
        for topic, part in parts.items():
            shop.metrics.count("caudal_rows_total", part.records, stage="raw", contract=topic)
        crashpoint("after-raw")
        return at

    def _to_silver(self, rows: DataFrame, parts: Mapping[str, TopicPart], number: int, landing: Landing) -> None:
        """Contracts with rows work side by side; one that is behind waits for its catch-up."""

        def one(worker: Worker, part: TopicPart) -> None:
            # A pool of its own, or the FAIR scheduler would still run the contracts' jobs in turn.
            worker.session.sparkContext.setLocalProperty("spark.scheduler.pool", worker.contract.id)
            worker.live(rows, number, part, landing)

        # Largest first, so the longest work does not start last.
        ready = sorted(
            ((self._topics[topic], part) for topic, part in parts.items()), key=lambda pair: -pair[1].records
        )
        running = [self._pool.submit(one, worker, part) for worker, part in ready if not worker.behind]
        for future in running:
            future.result()

    def _keep_schemas(self, parts: Mapping[str, TopicPart], number: int) -> None:
        """Resolve every id of the batch, and write those never seen before to `raw.schemas`, ahead of the records."""
        writers = self._shop.writers
        ids = {i for part in parts.values() for i in part.ids if i is not None}
        for topic, part in parts.items():
            for schema_id in part.ids:
                if schema_id is not None:
                    writers.resolve(self._topics[topic].contract, schema_id)
        unkept = writers.unkept(ids)
        if unkept:
            registered.keep(self._shop.spark, self._shop.lake, unkept, number)
            writers.kept(unkept)

    def _add(self, released: Iterable[Released]) -> None:
        new: list[Worker] = []
        for one in released:
            self._shop.writers.release(one.contract, one.ids)
            worker = self.workers.get(one.contract.id)
            if worker is not None:
                _alone(worker, partial(worker.release, one))
            else:
                new.append(Worker(self._shop, one))
        if not new:
            return
        flushed = positions.flushed_versions(self._shop.lake)

        def open_(worker: Worker) -> None:
            worker.open(flushed.get(worker.contract.id, -1))
            worker.prepare()

        # Side by side: making or reading nine tables one after the other is most of a cold start.
        list(self._pool.map(lambda w: _alone(w, lambda: open_(w)), new))
        for worker in new:
            worker.behind = worker.covered < self.raw.batch
            self.workers[worker.contract.id] = self._topics[worker.contract.topic] = worker

    def _catch_up_all(self) -> None:
        """Bring every contract to raw's last batch; one look at raw tells who has anything to do."""
        shop, upto = self._shop, self.raw.batch
        oldest = min((w.covered for w in self.workers.values() if w.behind), default=upto)
        frame = shop.spark.read.format("delta").load(shop.lake.spark_table(*tables.RAW)).where(f"_batch > {oldest}")
        newest = {
            row["topic"]: row["last"]
            for row in frame.groupBy("topic").agg({"_batch": "max"}).toDF("topic", "last").collect()
        }
        late: list[Worker] = []
        for worker in self.workers.values():
            if worker.halted is not None:
                continue
            if newest.get(worker.contract.topic, 0) <= worker.covered:
                worker.covered, worker.behind = max(worker.covered, upto), False
            elif worker.behind:
                late.append(worker)
        list(self._pool.map(lambda worker: worker.catch_up(upto), late))

    def _tend(self) -> None:
        now = time.monotonic()
        for worker in self.workers.values():
            if worker.halted is not None and now >= worker.retry_at:
                self.reopen(worker)
            if worker.halted is None and worker.behind:
                # One slice at a time, so that the others' batches go on in between.
                worker.catch_up(self.raw.batch, most=1)
        if now - self._parked_at >= self._shop.own.park_retry_s:
            self._retry_parked()
        self._tend_tables()

    def _tend_tables(self) -> None:
        """Table care that fails is said and tried again at its next turn: nothing depends on it."""
        try:
            self.tended.tend(self.kept(), waiting=any(self.waiting.values()), record_bytes=self.record_bytes())
        except Exception as error:  # noqa: BLE001 - whatever Spark throws, the stream goes on
            _log.warning("table care failed", kind=type(error).__name__)

    def kept(self) -> dict[str, Kept]:
        """By table of silver, what care has to know of it."""
        workers = self.workers.values()
        tables = {w.contract.table: Kept(w.tended, grows=w.contract.mode == "append") for w in workers}
        return {
            **tables,
            **{w.contract.history_table: Kept(directly, grows=False) for w in workers if w.contract.history},
        }

    def record_bytes(self) -> int:
        return max(self.raw.sizes.values(), default=sizes.UNSEEN_BYTES)

    def reopen(self, worker: Worker) -> None:
        """Look at a contract's table anew; what was done to it is then known. Callers hold the lock."""
        worker.resume()
        self.flush()
        flushed = positions.flushed_versions(self._shop.lake).get(worker.contract.id, -1)
        _alone(worker, lambda: worker.open(flushed))

    def _retry_parked(self) -> None:
        self._parked_at = time.monotonic()
        for worker in self.workers.values():
            if worker.halted is None and not worker.behind:
                decided = worker.retry_parked()
                if decided:
                    _log.info("parked records decided", contract=worker.contract.id, records=decided)
        since = self._shop.ledger.oldest_parked_ms()
        if since is not None and self._shop.clock.now_ms() - since > self._shop.own.park_alarm_s * 1000:
            self._shop.alerts.raise_(
                "CDL-UNKNOWN-ID",
                "records wait for a schema for too long",
                "parked",
                since=datetime.fromtimestamp(since / 1000),
            )

    def flush(self) -> int:
        """Bring the ledger table up to date; returns lines written."""
        return self._shop.ledger.flush()


def _alone(worker: Worker, work: Callable[[], None]) -> None:
    """Do something for one contract; when it fails, that contract is halted and nothing else happens."""
    try:
        work()
    except Exception as error:  # noqa: BLE001 - one contract's trouble, whatever it is, stays its own
        worker.halt(failures.named(error, worker.contract.id))


def _further(ends: Mapping[str, Mapping[int, int]], parts: Mapping[str, TopicPart]) -> dict[str, dict[int, int]]:
    """End offsets of all partitions after this batch."""
    out = {topic: dict(found) for topic, found in ends.items()}
    for topic, part in parts.items():
        out.setdefault(topic, {}).update({p: end for p, (_, end) in part.offsets.items()})
    return out
