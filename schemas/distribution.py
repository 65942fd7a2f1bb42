"""How running stages learn of contracts: a compacted topic, one message per contract, read to its end before work."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from caudal import log
from caudal.settings import Settings
from schemas import read, topics
from schemas.contract import Contract, Version
from schemas.document import Document
from schemas.errors import ContractError, Unreachable
from schemas.settings import SchemasSettings

# Compaction keeps the newest message per contract; without this a young log would never be cleaned.
_TOPIC_CONFIG = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}


@dataclass(frozen=True)
class Released:
    """A contract with all versions, and the registry id of each version's wire schema."""

    contract: Contract
    ids: Mapping[int, int]

    def version_of(self, schema_id: int) -> int | None:
        """The contract version that a registry id stands for."""
        return next((version for version, known in self.ids.items() if known == schema_id), None)


def to_bytes(released: Released) -> bytes:
    """The message: {contract, versions: {n: avsc}, wire: {n: wire}, ids: {n: id}} as JSON."""
    contract = released.contract
    return json.dumps(
        {
            "contract": read.record(contract),
            "versions": {str(v.number): v.avsc for v in contract.versions},
            "wire": {str(v.number): v.wire for v in contract.versions},
            "ids": {str(number): released.ids[number] for number in sorted(released.ids)},
        },
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()


def from_bytes(value: bytes) -> Released:
    """The contract of a message, exactly as it was published.

    Raises ContractError, ValueError or KeyError when the message is none of ours.
    """
    found: dict[str, Any] = json.loads(value)
    contract = read.contract(Document(Path("caudal.contracts"), found["contract"], {}))
    versions = tuple(
        Version(number, found["versions"][str(number)], found["wire"][str(number)])
        for number in sorted(int(n) for n in found["versions"])
    )
    return Released(replace(contract, versions=versions), {int(n): int(i) for n, i in found["ids"].items()})


class Distributor:
    """Writes contracts to the topic. One producer for as long as this lives."""

    def __init__(self, settings: Settings, topics_: topics.Topics | None = None) -> None:
        from confluent_kafka import Producer

        self._own = settings.section("schemas", SchemasSettings)
        self._topics = topics_ or topics.Topics(settings)
        self._producer = Producer(
            {
                **topics.client_conf(settings),
                "acks": "all",
                "enable.idempotence": True,
                "delivery.timeout.ms": int(self._own.deadline_s * 1000),
            }
        )

    def publish(self, released: Released) -> None:
        """Write one contract and wait until all replicas have it; the topic is created when it is missing.

        Raises Unreachable. Idempotence: the key is the contract's id, a repeated message says the same.
        """
        topic = self._own.contracts_topic
        self._topics.ensure(topic, 1, _TOPIC_CONFIG)
        failures: list[str] = []
        self._producer.produce(
            topic,
            key=released.contract.id.encode(),
            value=to_bytes(released),
            on_delivery=lambda error, _: failures.append(error.name()) if error else None,
        )
        left = self._producer.flush(self._own.deadline_s + 1)
        if left or failures:
            raise Unreachable(
                "the contract was not distributed",
                where=topic,
                why=failures[0] if failures else "the broker did not acknowledge in time",
                fix="start the broker: caudal up",
            )


def publish(settings: Settings, released: Released) -> None:
    """Write one contract to the topic (see `Distributor.publish`)."""
    Distributor(settings).publish(released)


class ContractFeed:
    """A reader of the contracts topic. Not for several threads at once.

    A topic that does not exist yet is an empty one: nothing has been applied. `from_start=False` skips what is there.
    """

    def __init__(self, settings: Settings, from_start: bool = True) -> None:
        from confluent_kafka import Consumer

        self._own = settings.section("schemas", SchemasSettings)
        self._from_start = from_start
        self._known: dict[str, bytes] = {}
        self._released: dict[str, Released] = {}
        self._partitions: tuple[int, ...] = ()
        self._next: dict[int, int] = {}
        self._consumer = Consumer(
            {
                **topics.client_conf(settings),
                # Nothing is committed: every process reads the whole topic, so the group only has to exist.
                "group.id": "caudal.contracts.reader",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
            }
        )

    def read_to_end(self) -> dict[str, Released]:
        """Read all that was in the topic when this was called; every contract by id. Raises Unreachable."""
        from confluent_kafka import KafkaError

        deadline = time.monotonic() + self._own.deadline_s
        if not self._assign(self._own.deadline_s):
            return {}
        waiting = {p for p in self._partitions if self._next.get(p, 0) < self._end(p)}
        while waiting and time.monotonic() < deadline:
            message = self._consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                self._take(message)
            elif error.code() == KafkaError._PARTITION_EOF:
                waiting.discard(message.partition())
        if waiting:
            raise Unreachable(
                "the contracts could not be read in time",
                where=self._own.contracts_topic,
                why=f"the end was not reached within {self._own.deadline_s:g} s",
                fix="check the broker: caudal status",
            )
        return dict(self._released)

    def poll(self, timeout: float) -> list[Released]:
        """Contracts new or changed, waiting up to `timeout` seconds for the first. A broker that is away gives none."""
        deadline = time.monotonic() + timeout
        found: dict[str, Released] = {}
        try:
            if not self._assign(timeout):
                # librdkafka has no wait for a topic to appear; the time is spent here instead of in a busy loop.
                self._consumer.poll(timeout)
                return []
        except Unreachable:
            return []
        while True:
            # Whatever is there already is taken at once; waiting is only for the first message.
            left = deadline - time.monotonic()
            message = self._consumer.poll(0.0 if found else max(left, 0.0))
            if message is None:
                return list(found.values())
            if message.error() is None and (released := self._take(message)) is not None:
                found[released.contract.id] = released
            elif left <= 0:
                return list(found.values())

    @property
    def released(self) -> dict[str, Released]:
        """Every contract read so far, by id."""
        return dict(self._released)

    def close(self) -> None:
        """Leave. The feed cannot be used afterwards."""
        self._consumer.close()

    def _take(self, message: Any) -> Released | None:
        """Note a message; what it says when that is news."""
        self._next[message.partition()] = message.offset() + 1
        key, value = message.key().decode(), message.value()
        if value is None:
            self._known.pop(key, None)
            self._released.pop(key, None)
            return None
        if self._known.get(key) == value:
            return None
        try:
            released = from_bytes(value)
        except (ValueError, KeyError, TypeError, ContractError) as error:
            # What a newer release of ours wrote may be unreadable here; the contract known so far stays in force.
            log.get("schemas").error("contract message refused", contract=key, why=type(error).__name__)
            return None
        self._known[key] = value
        self._released[key] = released
        return released

    def _assign(self, timeout: float) -> bool:
        """Take the topic's partitions; false while there is no such topic. Raises Unreachable without a broker."""
        from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, KafkaException, TopicPartition

        if self._partitions:
            return True
        topic = self._own.contracts_topic
        try:
            found = self._consumer.list_topics(topic, timeout=max(timeout, 0.1)).topics[topic]
        except KafkaException as error:
            raise Unreachable(
                "no broker answers", where=topic, why=error.args[0].name(), fix="start it: caudal up"
            ) from error
        if found.error is not None or not found.partitions:
            return False
        offset = OFFSET_BEGINNING if self._from_start else OFFSET_END
        self._consumer.assign([TopicPartition(topic, partition, offset) for partition in found.partitions])
        self._partitions = tuple(found.partitions)
        return True

    def _end(self, partition: int) -> int:
        """The offset after the last message, or 0 when the feed began at the end."""
        from confluent_kafka import KafkaException, TopicPartition

        if not self._from_start:
            return 0
        place = TopicPartition(self._own.contracts_topic, partition)
        try:
            _, high = self._consumer.get_watermark_offsets(place, timeout=self._own.deadline_s)
        except KafkaException as error:
            raise Unreachable("no broker answers", where=place.topic, why=error.args[0].name()) from error
        return int(high)
