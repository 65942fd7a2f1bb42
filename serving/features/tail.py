"""What lies in Kafka behind silver's end: payments, labels and accounts that streaming has not reached yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, TopicPartition

from caudal.errors import TransientError
from caudal.settings import Settings
from producers.publish import Publisher
from serving.errors import Refused
from serving.features import facts
from serving.features.facts import Account
from serving.features.records import Judges
from serving.features.silver import Silver
from serving.features.state import hash48

# Seconds that a broker has to answer before it counts as away.
ANSWER_S = 5.0
T = TypeVar("T")


def hashes(settings: Settings, source: str, silver: Silver) -> set[int] | None:
    """hash48 of the contract's event ids behind silver's last offset of each partition; None when no broker answers."""
    return _behind(settings, source, silver, lambda wire: hash48(str(wire["event_id"])))


def openings(settings: Settings, source: str, silver: Silver) -> set[Account] | None:
    """The openings of accounts there; None when no broker answers."""
    return _behind(settings, source, silver, facts.account)


def _behind(settings: Settings, source: str, silver: Silver, take: Callable[[Mapping[str, Any]], T]) -> set[T] | None:
    sql = "select _partition, max(_offset) as last from t group by _partition"
    ends = {r["_partition"]: r["last"] for r in silver.query("silver", source.replace(".", "_"), sql)}
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap,
            **settings.kafka.security,
            "group.id": "caudal-verify",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    out: set[T] = set()
    try:
        with Publisher(settings, source="verify") as publisher:
            judge = Judges(lambda name: publisher.contracts.get(name)).judge(source)
        places = consumer.list_topics(source, timeout=ANSWER_S).topics[source].partitions
        open_ends = set(places)
        consumer.assign([TopicPartition(source, p, ends.get(p, -1) + 1) for p in places])
        while open_ends:
            message = consumer.poll(ANSWER_S)
            if message is None:
                return None
            if message.error() is not None:
                open_ends.discard(message.partition())
                continue
            try:
                out.add(take(judge.decode(message.value())))
            except Refused:
                continue  # no state ever met it
        return out
    except (KafkaException, TransientError):
        return None
    finally:
        consumer.close()
