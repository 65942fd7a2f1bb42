"""The sealer's loop. Records, their refusals and the positions behind them are one Kafka transaction.

A crash before the commit leaves nothing that a reader of committed records sees, and the same records are read again;
so each is moved exactly once. Keys of people are in the vault before the transaction begins.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from caudal import log
from caudal.errors import TransientError
from caudal.fault import crashpoint
from caudal.metrics import Metrics
from caudal.settings import Settings
from producers.errors import PublishError, RecordRefused
from producers.publish import Publisher
from producers.publish_delete import prepare_delete
from producers.publish_prepare import Prepared, Refused
from producers.rejected import Rejected
from producers.sealer.debezium import NoChange, change
from producers.sealer.foreign import Find, Reader
from producers.sealer.rows import Delete, event, flat
from producers.settings import ProducersSettings
from schemas.contract import Contract
from schemas.topics import client_conf

NULL, ENVELOPE = "CDL-NULL", "CDL-GARBAGE"
TENANT_HEADER = "caudal-tenant"
_log = log.get("sealer")
_TRANSACTION_MS = 15_000
# What valid JSON or Avro in a form that nobody foresaw makes code raise.
_NO_RECORD = (ValueError, TypeError, ArithmeticError, AttributeError, LookupError, RecursionError)
_CALL_S = 20.0
# A tombstone follows its delete at once; so many keys back it is still known as such.
_DELETES = 10_000


class Mover:
    """Moves what is in the plaintext topics of all released contracts, until told to stop."""

    def __init__(self, settings: Settings, publisher: Publisher, find: Find, metrics: Metrics) -> None:
        self._own = settings.section("producers", ProducersSettings)
        self._settings, self._publisher, self._metrics = settings, publisher, metrics
        self._reader, self._rejected = Reader(find), Rejected(publisher, self._own)
        self._deleted: dict[tuple[str, bytes], None] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set. Whatever Kafka or the vault refuses is begun again from the committed positions."""
        while not stop.is_set():
            try:
                self._session(stop)
            except (KafkaException, TransientError) as error:
                code = error.args[0].name() if isinstance(error, KafkaException) else error.code
                _log.warning("moving begins again", why=code)
                stop.wait(1.0)

    def _session(self, stop: threading.Event) -> None:
        topics = self._topics()
        while not topics and not stop.wait(self._own.contract_poll_s):
            self._metrics.ready(True)
            topics = self._topics()
        if stop.is_set():
            return
        consumer, producer = Consumer(self._consumes()), Producer(self._produces())
        try:
            producer.init_transactions(_CALL_S)
            consumer.subscribe(topics)
            self._metrics.ready(True)
            while not stop.is_set() and self._topics() == topics:
                messages = consumer.consume(self._own.sealer_records, timeout=0.2)
                good = [m for m in messages if m.error() is None]
                if good:
                    self._move(consumer, producer, good)
        finally:
            consumer.close()

    def _move(self, consumer: Consumer, producer: Producer, messages: Sequence[Message]) -> None:
        """One transaction: everything that these records become, and the positions behind them."""
        out = self._prepared(messages)
        producer.begin_transaction()
        try:
            for prepared in out:
                producer.produce(
                    prepared.contract_id,
                    key=prepared.key,
                    value=prepared.value,
                    headers=list(prepared.headers) or None,
                )
            crashpoint("sealer.produced")
            ends = {(str(m.topic()), int(m.partition() or 0)): int(m.offset() or 0) + 1 for m in messages}
            producer.send_offsets_to_transaction(
                [TopicPartition(*place, end) for place, end in ends.items()],
                consumer.consumer_group_metadata(),
                _CALL_S,
            )
            producer.commit_transaction(_CALL_S)
        except (KafkaException, BufferError):
            producer.abort_transaction(_CALL_S)
            raise
        now = self._publisher.clock.now_ms()
        for prepared in out:
            self._metrics.count("caudal_rows_total", stage="kafka", contract=prepared.contract_id)
        self._metrics.ages("kafka", [(now - prepared.published_at) / 1000 for prepared in out])

    def _prepared(self, messages: Sequence[Message]) -> list[Prepared]:
        """What the records become, in their order within a contract. Raises TransientError: nothing was decided."""
        by_contract: dict[str, list[Message]] = {}
        for message in messages:
            by_contract.setdefault(str(message.topic()).removeprefix("in."), []).append(message)
        return [prepared for name, mine in by_contract.items() for prepared in self._of_contract(name, mine)]

    def _of_contract(self, name: str, messages: Sequence[Message]) -> list[Prepared]:
        contract = self._publisher.contracts.get(name).contract
        events: list[tuple[Message, dict[str, Any], int]] = []
        deletes: dict[int, Prepared] = {}
        order: list[tuple[str, int]] = []
        refused: list[Prepared] = []
        for message in messages:
            tenant = self._tenant(message)
            try:
                found = self._found(contract, message, tenant)
            except PublishError as error:
                path = error.path if isinstance(error, RecordRefused) else ""
                refused.append(self._refused(name, tenant, error.code, path, message))
                continue
            except _NO_RECORD:
                # Valid JSON or Avro that is no record of anything: kept, and no reason to stop the others.
                refused.append(self._refused(name, tenant, ENVELOPE, "", message))
                continue
            if isinstance(found, Prepared):
                deletes[len(order)] = found
                order.append(("delete", len(order)))
            elif found is not None:
                order.append(("event", len(events)))
                events.append((message, found[0], found[1]))
        answers = (
            self._publisher.prepare_many(
                name,
                [one for _, one, _ in events],
                observed_at=[at for _, _, at in events],
                positions=[f"{m.topic()}/{m.partition()}@{m.offset()}" for m, _, _ in events],
                source="sealer",
            )
            if events
            else []
        )
        out: list[Prepared] = []
        for kind, place in order:
            answer = deletes[place] if kind == "delete" else answers[place]
            if isinstance(answer, Refused):
                message, one, _ = events[place]
                tenant = str(one.get(contract.tenant) or self._tenant(message) or "")
                answer = self._refused(name, tenant, answer.code, answer.path, message)
            out.append(answer)
        return out + refused

    def _found(
        self, contract: Contract, message: Message, tenant: str | None
    ) -> Prepared | tuple[dict[str, Any], int] | None:
        """An event and when it was observed, or a delete, or None for what says nothing. Raises RecordRefused."""
        value, key = message.value(), (contract.id, message.key() or b"")
        at = int(message.timestamp()[1])
        if value is None:
            if key not in self._deleted:
                raise RecordRefused(NULL, "", contract=contract.id)
            self._skip(contract, "tombstone")
            return None
        body = self._reader.read(value)
        said = change(body)
        if isinstance(said, NoChange):
            self._skip(contract, said.kind)
            return None
        if said is None:
            return flat(contract, body, tenant), at
        tenant = tenant or self._own.sealer_tenants.get(said.database)
        found = event(contract, said, tenant)
        observed = said.at_ms or at
        if not isinstance(found, Delete):
            self._deleted.pop(key, None)
            return found, observed
        self._deleted[key] = None
        if len(self._deleted) > _DELETES:
            self._deleted.pop(next(iter(self._deleted)))
        now = self._publisher.clock.now_ms()
        return prepare_delete(contract, found.key, found.sequence, found.event_id, observed, now)

    def _refused(self, contract: str, tenant: str | None, code: str, path: str, message: Message) -> Prepared:
        """The record whole, sealed, as an event of `caudal.rejected`; the same record read again is the same event."""
        place = f"{message.topic()}/{message.partition()}@{message.offset()}"
        at = int(message.timestamp()[1])
        self._metrics.count("caudal_rejects_total", stage="source", code=code, contract=contract)
        return self._rejected.prepared(
            tenant or "unknown", contract, "sdk", code, path or None, message.value() or b"", event_id=place, at_ms=at
        )

    def _skip(self, contract: Contract, kind: str) -> None:
        self._metrics.count("caudal_sealer_skipped_total", contract=contract.id, code=kind)

    def _tenant(self, message: Message) -> str | None:
        headers = message.headers() or []
        return next((value.decode("utf-8", "replace") for name, value in headers if name == TENANT_HEADER), None)

    def _topics(self) -> list[str]:
        known = self._publisher.contracts
        found = [known.get(name).contract for name in known.ids()]
        return sorted(contract.plaintext_topic for contract in found if contract.ingress == "plaintext")

    def _consumes(self) -> dict[str, Any]:
        return {
            **client_conf(self._settings),
            "group.id": self._own.sealer_group,
            "client.id": "caudal-sealer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "topic.metadata.refresh.interval.ms": 2000,
            "allow.auto.create.topics": False,
            # After a crash the successor need not wait long for the dead one's partitions.
            "session.timeout.ms": 10_000,
            "fetch.wait.max.ms": 50,
        }

    def _produces(self) -> dict[str, Any]:
        return {
            **client_conf(self._settings),
            "client.id": "caudal-sealer",
            "transactional.id": f"{self._own.sealer_group}.{self._own.sealer_instance}",
            "transaction.timeout.ms": _TRANSACTION_MS,
            "compression.type": "lz4",
            "message.max.bytes": max(self._own.max_message_bytes * 2, 1_048_576),
            "allow.auto.create.topics": False,
        }
