"""Kafka's side of publishing: an idempotent producer, a bounded queue, and an account of every acknowledgement."""

import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from caudal.settings import Settings
from producers.errors import NotDelivered, Unavailable
from producers.publish_prepare import Prepared
from producers.settings import ProducersSettings

OnDelivery = Callable[[Prepared, str | None], None]
"""Called once per record, from the delivery thread: None when Kafka has it, else the name of Kafka's error."""

_POLL_S = 0.1


class Delivery:
    """Sends records and knows which are not acknowledged yet. Safe for threads.

    A record that Kafka refuses or that waits longer than `deadline_s` is reported as failed; its event id may be sent
    again, because everything downstream is idempotent by event id.
    """

    def __init__(self, settings: Settings, deadline_s: float | None = None) -> None:
        own = settings.section("producers", ProducersSettings)
        self._deadline_s = deadline_s or own.deadline_s
        self._config: dict[str, Any] = {
            "bootstrap.servers": settings.kafka.bootstrap,
            **settings.kafka.security,
            "client.id": "caudal-publish",
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "linger.ms": own.linger_ms,
            "queue.buffering.max.messages": own.queue_messages,
            "queue.buffering.max.kbytes": own.queue_kib,
            "message.max.bytes": max(own.max_message_bytes * 2, 1_048_576),
            # librdkafka wants linger below the delivery deadline.
            "delivery.timeout.ms": max(int(self._deadline_s * 1000), own.linger_ms + 1),
            "allow.auto.create.topics": False,
            "topic.metadata.propagation.max.ms": min(int(self._deadline_s * 1000), 30_000),
            # A broker that restarts should be found again within a second, not after librdkafka's 10 s.
            "reconnect.backoff.max.ms": 1000,
            "log_level": 2,
        }
        self._changed = threading.Condition()
        self._waiting = 0
        self._failed = 0
        self._why = ""
        self.delivered = 0
        self.failed = 0
        self._producer: Producer | None = None
        self._fatal = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Records that Kafka has not acknowledged yet."""
        return self._waiting

    def send(self, prepared: Prepared, on_delivery: OnDelivery | None = None) -> None:
        """Hand a record to Kafka's queue. Raises Unavailable when the queue stays full until the deadline."""
        deadline = time.monotonic() + self._deadline_s

        def acknowledged(error: KafkaError | None, _: Any) -> None:
            self._account(prepared, error, on_delivery)

        with self._changed:
            self._waiting += 1
        while True:
            producer = self._open()
            try:
                producer.produce(
                    prepared.contract_id,
                    key=prepared.key,
                    value=prepared.value,
                    headers=list(prepared.headers) or None,
                    on_delivery=acknowledged,
                )
                return
            except BufferError:
                if time.monotonic() < deadline:
                    with self._changed:
                        self._changed.wait(_POLL_S)
                    continue
                self._give_up()
                raise Unavailable(
                    "Kafka takes no records", where=self._config["bootstrap.servers"], retry_after=5.0
                ) from None
            except KafkaException as error:
                self._give_up()
                raise NotDelivered(1, 0, why=_name(error.args[0])) from None

    def flush(self, timeout: float | None = None) -> None:
        """Wait until everything sent is acknowledged.

        Raises NotDelivered when records failed since the last flush, or still wait after `timeout` seconds.
        """
        if self._producer is not None:
            # Without this, records would wait out their linger first.
            self._producer.flush(0)
        limit = time.monotonic() + (self._deadline_s + 5 if timeout is None else timeout)
        with self._changed:
            while self._waiting and (left := limit - time.monotonic()) > 0:
                self._changed.wait(min(left, 1.0))
            failed, self._failed, why, self._why = self._failed, 0, self._why, ""
            waiting = self._waiting
        if failed or waiting:
            raise NotDelivered(failed, waiting, why=why)

    def close(self) -> None:
        """End the delivery thread. Call `flush` first: what still waits is dropped."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(1)

    def _open(self) -> Producer:
        if self._producer is None or self._fatal:
            with self._changed:
                if self._producer is None or self._fatal:
                    self._fatal = False
                    if self._producer is not None:
                        # What the broken one still held is reported as failed, or flush would wait for ever.
                        self._producer.purge()
                        self._producer.flush(1)
                    self._producer = Producer({**self._config, "error_cb": self._noticed})
                    if self._thread is None:
                        self._thread = threading.Thread(target=self._serve, name="delivery", daemon=True)
                        self._thread.start()
        return self._producer

    def _serve(self) -> None:
        while not self._stop.is_set():
            producer = self._producer
            if producer is not None:
                producer.poll(_POLL_S)

    def _noticed(self, error: KafkaError) -> None:
        # After a fatal error an idempotent producer refuses everything; a new one starts a new sequence.
        if error.code() == KafkaError._FATAL or error.fatal():
            self._fatal = True

    def _account(self, prepared: Prepared, error: KafkaError | None, on_delivery: OnDelivery | None) -> None:
        why = None if error is None else _name(error)
        try:
            if on_delivery is not None:
                on_delivery(prepared, why)
        finally:
            with self._changed:
                self._waiting -= 1
                if why is None:
                    self.delivered += 1
                else:
                    self.failed += 1
                    self._failed += 1
                    self._why = why
                if not self._waiting or why:
                    self._changed.notify_all()

    def _give_up(self) -> None:
        with self._changed:
            self._waiting -= 1
            self._changed.notify_all()


def _name(error: Any) -> str:
    return error.name() if isinstance(error, KafkaError) else type(error).__name__
