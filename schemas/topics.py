"""Topics: created once, from the contract; nothing is created by writing to it."""

from collections.abc import Mapping
from typing import Any

from caudal.settings import Settings
from schemas.contract import Contract
from schemas.errors import Unreachable
from schemas.settings import SchemasSettings

_HOUR_MS = 3_600_000
# Plaintext may lie in `in.*` for an hour at most. Kafka drops whole segments only, so these are small and short.
_PLAINTEXT = {
    "retention.ms": str(_HOUR_MS // 2),
    "segment.ms": str(_HOUR_MS // 6),
    "segment.bytes": str(16 * 1024 * 1024),
}


def client_conf(settings: Settings) -> dict[str, Any]:
    """librdkafka properties that every client of ours begins with."""
    return {
        "bootstrap.servers": settings.kafka.bootstrap,
        # A restarted broker must be found again within seconds, not minutes.
        "reconnect.backoff.max.ms": 2000,
        **settings.kafka.security,
    }


def topic_config(contract: Contract, own: SchemasSettings) -> dict[str, str]:
    """The topic's properties. Time is the broker's: retention then counts from arrival, also for replayed history."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(int(contract.retention.topic.total_seconds() * 1000)),
        "max.message.bytes": str(own.max_message_bytes),
        "message.timestamp.type": "LogAppendTime",
    }


def ensure_for(settings: Settings, contract: Contract) -> bool:
    """Create the contract's topic, and `in.<topic>` for a plaintext ingress; true when one was created."""
    own = settings.section("schemas", SchemasSettings)
    created = ensure(settings, contract.topic, own.partitions, topic_config(contract, own))
    if contract.ingress == "plaintext":
        config = {**topic_config(contract, own), **_PLAINTEXT}
        created = ensure(settings, contract.plaintext_topic, own.partitions, config) or created
    return created


def ensure(settings: Settings, topic: str, partitions: int, config: Mapping[str, str]) -> bool:
    """Create a topic unless it is there; true when it was created. Raises Unreachable."""
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import AdminClient, NewTopic

    own = settings.section("schemas", SchemasSettings)
    admin = AdminClient(client_conf(settings))
    try:
        if topic in admin.list_topics(timeout=own.deadline_s).topics:
            return False
        wanted = NewTopic(topic, num_partitions=partitions, replication_factor=own.replication, config=dict(config))
        admin.create_topics([wanted], operation_timeout=own.deadline_s)[topic].result(own.deadline_s)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise Unreachable(
            "the broker did not create the topic", where=topic, why=error.args[0].name(), fix="start it: caudal up"
        ) from error
    return True
