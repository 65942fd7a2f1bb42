"""The loop on Kafka: poll, judge, write states, decide, publish, commit; in that order, so a kill anywhere is repeated.

The store says itself how far each partition is in it. When that is less than what the group has committed (Redis lost
its memory, or its last second) the loop reads from there again and only fills states; those payments are decided.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from caudal import log
from caudal.errors import CaudalError, TransientError
from caudal.metrics import Metrics
from caudal.settings import Settings
from producers.errors import UnknownContract
from producers.publish_prepare import Prepared
from serving.errors import Refused
from serving.features import facts
from serving.features.records import Judges
from serving.fraud import engine as engines
from serving.fraud.engine import DECISION, Engine, Item
from serving.fraud.merge import Entry, Merge, Place
from serving.settings import ServingSettings

# Kafka's number for "nothing committed".
NOTHING = -1001
# A dependency that is away is asked again after this many seconds, growing to the second number.
FIRST_WAIT_S, LAST_WAIT_S = 0.2, 5.0
HELD_POLL_S = 0.01
# A record can overtake the release of its contract's version by the time that its publisher's feed is ahead of ours.
RELEASE_S = 5.0
UNKNOWN_ID = "CDL-UNKNOWN-ID"
T = TypeVar("T")


class Scorer:
    """Consumes payments, labels and accounts until told to stop."""

    def __init__(self, settings: Settings, engine: Engine, judges: Judges, metrics: Metrics) -> None:
        self._own = settings.section("serving", ServingSettings)
        self._engine, self._judges, self._metrics = engine, judges, metrics
        spec = engine.spec
        self._topics = [spec.source, spec.labels, spec.accounts]
        self._config: dict[str, Any] = {
            "bootstrap.servers": settings.kafka.bootstrap,
            **settings.kafka.security,
            "group.id": self._own.group,
            "client.id": "caudal-scorer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            # Topics that `contract apply` has not made yet are looked for again soon.
            "topic.metadata.refresh.interval.ms": 2000,
            "allow.auto.create.topics": False,
            # The last offset of a partition may be a transaction's marker, which no record ever reaches.
            "enable.partition.eof": True,
            "reconnect.backoff.max.ms": 1000,
            # An idle partition answers within this time; the poll itself waits less.
            "fetch.wait.max.ms": 50,
            # Partitions should arrive side by side, not a hundred thousand records of one first.
            "queued.min.messages": 2000,
            "log_level": 2,
        }
        self._decide_from: dict[Place, int] = {}
        self._next: dict[Place, int] = {}
        self._drained: dict[Place, int] = {}
        self._merge: Merge[Item | None] = Merge()
        self._order: dict[Place, tuple[int, int]] = {}
        self._unknown: dict[bytes, float] = {}
        self._log = log.get("scorer")

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; what was polled and not finished is redelivered to the next run."""
        consumer = Consumer(self._config)
        try:
            self._until(stop, self._engine.store.load)
            consumer.subscribe(
                self._topics,
                on_assign=lambda c, parts: self._assigned(stop, c, parts),
                on_revoke=lambda _, parts: self._revoked(parts),
            )
            self._metrics.ready(True)
            while not stop.is_set():
                self.step(consumer, stop)
        finally:
            consumer.close()

    def step(self, consumer: Consumer, stop: threading.Event) -> int:
        """One batch from poll to commit; the number of records it had."""
        # What is held back needs its partition's next records, and those come within milliseconds.
        first = consumer.poll(HELD_POLL_S if self._merge.waiting else self._own.poll_s)
        # What already lies in the client's queue joins; nothing is waited for.
        polled = [first, *consumer.consume(self._own.batch - 1, timeout=0)] if first is not None else []
        for message in polled:
            error = message.error()
            if error is not None and error.code() == KafkaError._PARTITION_EOF:
                self._drained[message.topic(), message.partition()] = message.offset()
            elif error is not None:
                self._log.warning("kafka_error", error=error.name())
        good = [m for m in polled if m.error() is None]
        judged = self._until(stop, lambda: [self._judge(message) for message in good])
        if judged is None:
            return 0
        self._merge.add(judged)
        if not self._merge.waiting or self._until(stop, lambda: self._rewound(consumer)) is not False:
            return 0
        entries = self._merge.take(self._own.batch, lambda place, last: self._ended(consumer, place, last))
        if not entries:
            return 0
        items = [entry.item for entry in entries if entry.item is not None]
        ends = {entry.place: entry.offset + 1 for entry in entries}
        positions = {_name(place): offset for place, offset in ends.items()}
        decisions = self._until(stop, lambda: self._engine.apply(items, positions))
        if decisions is None or self._until(stop, lambda: self._publish(decisions)) is None:
            return 0
        self._next.update(ends)
        self._commit(consumer, ends)
        self._report(consumer, items, decisions, ends)
        return len(entries)

    def _ended(self, consumer: Consumer, place: Place, last: int | None) -> bool:
        """Whether the client knows that a partition has nothing after what was polled of it."""
        high = int(consumer.get_watermark_offsets(TopicPartition(*place), cached=True)[1])
        reached = self._next.get(place, 0) if last is None else last + 1
        return 0 <= high <= max(reached, self._drained.get(place, 0))

    def _judge(self, message: Any) -> Entry[Item | None]:
        """A polled record with its item; None for one that silver refuses too, which keeps its predecessor's order."""
        place = message.topic(), message.partition()
        item = None
        try:
            item = self._item(message, place)
        except Refused as error:
            if error.code == UNKNOWN_ID and self._may_come(message.value()[1:5]):
                raise TransientError("a schema id is not known yet", code=UNKNOWN_ID) from error
            self._metrics.count("caudal_rejects_total", stage="decision", code=error.code, contract=place[0])
        if item is not None:
            # Labels and accounts of a millisecond go before its payments.
            self._order[place] = item.published_ms, item.at_ms if isinstance(item, engines.Case) else -1
        return Entry(place, message.offset(), self._order.get(place, (0, 0)), item)

    def _may_come(self, schema_id: bytes) -> bool:
        """Whether a release with this id may still be on its way: each unknown id is waited for once."""
        deadline = self._unknown.setdefault(schema_id, time.monotonic() + RELEASE_S)
        return time.monotonic() < deadline

    def _item(self, message: Any, place: Place) -> Item | None:
        topic, spec, value = place[0], self._engine.spec, message.value()
        if value is None and topic == spec.accounts:
            return None  # a deleted account was opened all the same
        wire = self._judges.read(topic, value)
        if topic == spec.labels:
            return engines.Told(facts.label(wire), engines.published_ms(wire))
        if topic == spec.accounts:
            opened = engines.Told(facts.account(wire), engines.published_ms(wire))
            return None if wire.get("_op") == "t" else opened
        return engines.case(wire, spec, "kafka", decide=message.offset() >= self._decide_from.get(place, 0))

    def _publish(self, decisions: Sequence[Prepared]) -> bool:
        for decision in decisions:
            self._engine.publisher.produce(decision)
        if decisions:
            self._engine.publisher.flush()
        return True

    def _commit(self, consumer: Consumer, ends: dict[Place, int]) -> None:
        try:
            # Filling the store again never moves the group back.
            offsets = [TopicPartition(t, p, max(o, self._decide_from.get((t, p), 0))) for (t, p), o in ends.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            # Redelivery is harmless: states are sets, and the first decision holds.
            self._log.warning("commit_failed", error=error.args[0].name())
        for place, end in ends.items():
            if end >= self._decide_from.get(place, 0):
                self._engine.store.loading(_name(place), False)

    def _report(
        self, consumer: Consumer, items: Sequence[Item], decisions: Sequence[Prepared], ends: dict[Place, int]
    ) -> None:
        metrics, now = self._metrics, time.time()
        if decisions:
            metrics.count("caudal_rows_total", len(decisions), stage="decision", contract=DECISION)
            ages = [now - i.published_ms / 1000 for i in items if isinstance(i, engines.Case) and i.decide]
            metrics.ages("decision", ages)
            metrics.mark("first_decision")
        lag: dict[str, int] = {}
        for (topic, partition), end in ends.items():
            high = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)[1]
            lag[topic] = lag.get(topic, 0) + max(high - max(end, self._drained.get((topic, partition), 0)), 0)
        for topic, behind in lag.items():
            metrics.gauge("caudal_lag", behind, stage="decision", contract=topic)

    def _assigned(self, stop: threading.Event, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Start each partition where the store or the group is, whichever is less."""
        committed = self._until(stop, lambda: _committed(consumer, partitions))
        stored = self._until(stop, self._engine.store.positions)
        if committed is None or stored is None:
            return
        for part in partitions:
            place = part.topic, part.partition
            group, held = committed.get(place, 0), stored.get(_name(place), 0)
            part.offset = min(group, held) if group else NOTHING
            self._decide_from[place], self._next[place] = group, max(part.offset, 0)
            if held < group:
                self._log.warning("store_behind", partition=_name(place), held=held, committed=group)
        behind = {_name(p): stored.get(_name(p), 0) < committed.get(p, 0) for p in self._next}

        def mark() -> bool:
            for name, fill in behind.items():
                self._engine.store.loading(name, fill)
            self._engine.store.opened()
            return True

        if self._until(stop, mark):
            self._drained.clear()
            self._merge.assign(self._next)
            consumer.assign(partitions)

    def _revoked(self, partitions: list[TopicPartition]) -> None:
        for part in partitions:
            self._next.pop((part.topic, part.partition), None)
            self._decide_from.pop((part.topic, part.partition), None)

    def _rewound(self, consumer: Consumer) -> bool:
        """Whether the store lost what it had; then the partitions are read again from what it has."""
        stored = self._engine.store.positions()
        lost = {place: n for place, n in self._next.items() if stored.get(_name(place), 0) < n}
        for place, had in lost.items():
            self._decide_from[place] = max(had, self._decide_from.get(place, 0))
            self._next[place] = stored.get(_name(place), 0)
            self._engine.store.loading(_name(place), True)
            consumer.seek(TopicPartition(*place, self._next[place]))
            self._log.warning("store_lost", partition=_name(place), held=self._next[place], had=had)
        if lost:
            self._drained.clear()
            self._engine.store.opened()
            self._merge.assign(self._next)
            # What was polled of other partitions is read again too.
            for place in set(self._next) - set(lost):
                consumer.seek(TopicPartition(*place, self._next[place]))
        return bool(lost)

    def _until(self, stop: threading.Event, work: Callable[[], T]) -> T | None:
        """Do it until it works; None when told to stop first."""
        wait = FIRST_WAIT_S
        while not stop.is_set():
            try:
                return work()
            # A record can come before its contract's release is read here.
            except (TransientError, UnknownContract, KafkaException) as error:
                code = error.code if isinstance(error, CaudalError) else error.args[0].name()
                self._metrics.count("caudal_retries_total", stage="decision", code=code)
                self._log.warning("waiting", code=code, seconds=wait)
            stop.wait(wait)
            wait = min(wait * 2, LAST_WAIT_S)
        return None


def _committed(consumer: Consumer, partitions: list[TopicPartition]) -> dict[Place, int]:
    found = consumer.committed([TopicPartition(p.topic, p.partition) for p in partitions], timeout=10)
    return {(p.topic, p.partition): max(p.offset, 0) for p in found}


def _name(place: Place) -> str:
    return f"{place[0]}:{place[1]}"
