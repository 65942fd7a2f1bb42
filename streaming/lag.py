"""Lag: how far raw is behind the ends of the topics, by contract, asked of the broker once in a while; and where raw
stands, told to the broker as an ordinary consumer group, so that Kafka's own tools see it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from confluent_kafka import Consumer, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from caudal.settings import Settings
from schemas.topics import client_conf

ASK_S = 5.0
_PATIENCE_S = 15.0


class Lag:
    """Asks for end offsets and tells where raw stands. One client of each kind for the life of the process."""

    def __init__(self, settings: Settings, query: str = "main") -> None:
        self._admin_conf = client_conf(settings)
        self._admin, self._heard_at = AdminClient(self._admin_conf), time.monotonic()
        # A consumer that consumes nothing. The admin client could tell it too, but when a broker dies under such a
        # request, an assertion of librdkafka ends the process (confluentinc/librdkafka issue 4605).
        group = {"group.id": f"caudal.raw.{query}", "enable.auto.commit": False, "on_commit": self._told}
        self._conf = {**client_conf(settings), **group}
        self._group = Consumer(self._conf)
        self._asked_at: float | None = None

    def ends(self, topics: Mapping[str, list[int]]) -> dict[str, dict[int, int]]:
        """The last stable offset of every partition; those that do not answer are left out.

        A client to which nobody has answered for too long is replaced: after a broker's death one may never ask again.
        """
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
        if found:
            self._heard_at = time.monotonic()
        elif time.monotonic() - self._heard_at > _PATIENCE_S:
            self._admin, self._heard_at = AdminClient(self._admin_conf), time.monotonic()
        return found

    def tell(self, done: Mapping[str, Mapping[int, int]]) -> None:
        """Store raw's end offsets as those of the consumer group `caudal.raw.<query>`; nothing is ever read from them.

        Nobody waits for the answer, and as long as there is none nothing further is told; a client that gets none for
        too long, which happens when the broker dies under its request, is replaced.
        """
        self._group.poll(0)
        if self._asked_at is not None:
            if time.monotonic() - self._asked_at < _PATIENCE_S:
                return
            # Closing waits for the answer that does not come.
            threading.Thread(target=self._group.close, name="lag-close", daemon=True).start()
            self._group = Consumer(self._conf)
        ends = [TopicPartition(topic, p, end) for topic, parts in done.items() for p, end in parts.items()]
        if ends:
            self._asked_at = time.monotonic()
            self._group.commit(offsets=ends, asynchronous=True)

    def _told(self, _: object, __: object) -> None:
        self._asked_at = None


def furthest(
    raw: Mapping[str, Mapping[int, int]], planned: Mapping[str, Mapping[int, int]]
) -> dict[str, dict[int, int]]:
    """How far each partition is done: to raw's last record, and over the transaction markers that a finished batch read
    behind it."""
    return {
        topic: {
            p: max(raw.get(topic, {}).get(p, 0), planned.get(topic, {}).get(p, 0))
            for p in {*raw.get(topic, {}), *planned.get(topic, {})}
        }
        for topic in {*raw, *planned}
    }


def behind(ends: Mapping[str, Mapping[int, int]], done: Mapping[str, Mapping[int, int]]) -> dict[str, int]:
    """Records not read yet, by topic. A partition never read is behind by all it holds."""
    return {
        topic: sum(max(0, end - done.get(topic, {}).get(p, 0)) for p, end in parts.items())
        for topic, parts in ends.items()
    }
