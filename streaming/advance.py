"""A topic that was made anew, brought on behind the places that raw knows as other records.

An aborted transaction moves its end on without a record that anybody sees; what was written to it in the meantime is
written once more behind that, and taken away before it. All of it may run twice: events are told apart by their ids.
"""

from __future__ import annotations

from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from caudal.errors import TransientError
from caudal.settings import Settings
from schemas.topics import client_conf
from streaming.gaps import Range

_CALL_S = 30.0
_AT_ONCE = 100_000


def behind(settings: Settings, topic: str, partition: int, end: int, there: Range) -> int:
    """Let every record of the partition lie at `end` or behind; how many were written again.

    Raises TransientError when the broker does not take part; then it can be done again.
    """
    producer = Producer({**client_conf(settings), "transactional.id": "caudal.recover", "compression.type": "lz4"})
    try:
        producer.init_transactions(_CALL_S)
        missing = max(0, end - there.high)
        while missing > 0:
            n = min(missing, _AT_ONCE)
            producer.begin_transaction()
            for _ in range(n):
                _send(producer, topic, partition, None, b"", None)
            producer.flush(_CALL_S)
            producer.abort_transaction(_CALL_S)
            missing -= n
        copied = _copied(settings, producer, topic, partition, there.low, min(there.high, end))
        _drop(settings, TopicPartition(topic, partition, end))
    except KafkaException as error:
        raise TransientError(
            "the topic could not be brought on", where=f"{topic}/{partition}", why=error.args[0].name()
        ) from error
    return copied


def _copied(settings: Settings, producer: Producer, topic: str, partition: int, low: int, end: int) -> int:
    """Write the committed records of [low, end) again, in one transaction."""
    if low >= end:
        return 0
    reads = {"group.id": "caudal.recover", "enable.auto.commit": False, "isolation.level": "read_committed"}
    # The end of the range may be no record: then the end of the partition says so.
    consumer = Consumer({**client_conf(settings), **reads, "enable.partition.eof": True})
    copied = 0
    try:
        consumer.assign([TopicPartition(topic, partition, low)])
        producer.begin_transaction()
        while (message := consumer.poll(_CALL_S)) is not None:
            if message.error() is not None or int(message.offset() or 0) >= end:
                break
            _send(producer, topic, partition, message.key(), message.value(), message.headers())
            copied += 1
        producer.commit_transaction(_CALL_S)
    finally:
        consumer.close()
    return copied


def _send(producer: Producer, topic: str, partition: int, key: Any, value: Any, headers: Any) -> None:
    while True:
        try:
            producer.produce(topic, key=key, value=value, headers=headers, partition=partition)
            return
        except BufferError:
            producer.poll(0.1)


def _drop(settings: Settings, before: TopicPartition) -> None:
    admin = AdminClient(client_conf(settings))
    for future in admin.delete_records([before], request_timeout=_CALL_S).values():
        future.result(_CALL_S)
