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
        # Idle connections that the broker closes are no news.
        "log.connection.close": False,
        # Errors reach the caller by callback; the driver's own lines would only repeat them on the terminal.
        "log_level": 2,
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


class Topics:
    """Creates topics; what is there already is left alone. One connection for as long as this lives."""

    def __init__(self, settings: Settings) -> None:
        from confluent_kafka.admin import AdminClient

        self._own = settings.section("schemas", SchemasSettings)
        self._admin = AdminClient(client_conf(settings))
        self._there: set[str] = set()

    def ensure_for(self, contract: Contract) -> bool:
        """The contract's topic, and `in.<topic>` for a plaintext ingress; true when one was created."""
        config = topic_config(contract, self._own)
        created = self.ensure(contract.topic, self._own.partitions, config)
        if not created:
            self._keep_retention(contract.topic, config["retention.ms"])
        if contract.ingress == "plaintext":
            config = {**config, **_PLAINTEXT}
            created = self.ensure(contract.plaintext_topic, self._own.partitions, config) or created
        return created

    def _keep_retention(self, topic: str, retention_ms: str) -> None:
        """Follow a contract whose `retention` has changed; all else of a topic stays as its operator left it."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

        name = "retention.ms"
        wanted = ConfigEntry(name, retention_ms, incremental_operation=AlterConfigOpType.SET)
        try:
            place = ConfigResource(ConfigResource.Type.TOPIC, topic)
            found = self._admin.describe_configs([place])[place].result(self._own.deadline_s)
            if found[name].value != retention_ms:
                change = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[wanted])
                self._admin.incremental_alter_configs([change])[change].result(self._own.deadline_s)
        except KafkaException as error:
            raise Unreachable(
                "the broker did not set the topic's retention", where=topic, why=error.args[0].name()
            ) from error

    def ensure(self, topic: str, partitions: int, config: Mapping[str, str]) -> bool:
        """One topic; true when it was created. Raises Unreachable."""
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import NewTopic

        wait = self._own.deadline_s
        wanted = NewTopic(
            topic, num_partitions=partitions, replication_factor=self._own.replication, config=dict(config)
        )
        try:
            if topic not in self._there:
                self._there = set(self._admin.list_topics(timeout=wait).topics)
            if topic in self._there:
                return False
            self._admin.create_topics([wanted], operation_timeout=wait)[topic].result(wait)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                return False
            raise Unreachable(
                "the broker did not create the topic", where=topic, why=error.args[0].name(), fix="start it: caudal up"
            ) from error
        return True


def ensure(settings: Settings, topic: str, partitions: int, config: Mapping[str, str]) -> bool:
    """One topic that belongs to no contract; true when it was created. Raises Unreachable."""
    return Topics(settings).ensure(topic, partitions, config)
