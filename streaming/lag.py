"""Lag: how far raw is behind the ends of the topics, by contract, asked of the broker once in a while."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from caudal.settings import Settings
from schemas.topics import client_conf

ASK_S = 5.0


class Lag:
    """Asks for end offsets. One client for the life of the process."""

    def __init__(self, settings: Settings) -> None:
        self._admin = AdminClient(client_conf(settings))

    def ends(self, topics: Mapping[str, list[int]]) -> dict[str, dict[int, int]]:
        """The last stable offset of every partition; those that do not answer are left out."""
        wanted = {TopicPartition(t, p): OffsetSpec.latest() for t, parts in topics.items() for p in parts}
        if not wanted:
            return {}
        asked = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=ASK_S)
        found: dict[str, dict[int, int]] = {}
        for place, future in asked.items():
            try:
                found.setdefault(place.topic, {})[place.partition] = future.result(ASK_S).offset
            except (KafkaException, TimeoutError):
                continue
        return found


def behind(ends: Mapping[str, Mapping[int, int]], done: Mapping[str, Mapping[int, int]]) -> dict[str, int]:
    """Records not read yet, by topic. A partition never read is behind by all it holds."""
    return {
        topic: sum(max(0, end - done.get(topic, {}).get(p, 0)) for p, end in parts.items())
        for topic, parts in ends.items()
    }
