"""Where Kafka no longer has what raw has not read: records gone by retention, or a topic that was made anew.

A topic made anew begins at offset 0 again, so what is in it now has places that raw knows as other records. It is told
by its id (KIP-516), which every raw commit keeps, and by an end before raw's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from caudal.errors import TransientError
from streaming.facts import RawCommit

RETENTION, RECREATED = "retention", "recreated"
_ASK_S = 10.0


@dataclass(frozen=True)
class Range:
    """A partition's offsets in Kafka: the first retained one, and the one after the last."""

    low: int
    high: int


@dataclass(frozen=True)
class Gap:
    """Offsets [first, end) of a partition that raw has not read and never can; `first` is raw's end.

    Of a topic made anew, `end` is what its new records must come behind: raw's end again.
    """

    topic: str
    partition: int
    first: int
    end: int
    why: str

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Kafka:
    """Topics as the broker has them now: the ranges of their partitions, and their ids."""

    ranges: Mapping[str, Mapping[int, Range]]
    ids: Mapping[str, str]


def found(raw: RawCommit, kafka: Kafka) -> list[Gap]:
    """Gaps between raw's positions and the broker, by topic and partition. Topics that are not there have none."""
    gaps: list[Gap] = []
    for topic, ends in sorted(raw.ends.items()):
        ranges = kafka.ranges.get(topic)
        if ranges is None:
            continue
        if topic in raw.ids and topic in kafka.ids:
            # A broker that was killed may tell an end before raw's for a moment; the id does not waver.
            anew = raw.ids[topic] != kafka.ids[topic]
        else:
            anew = any(p in ranges and ranges[p].high < end for p, end in ends.items())
        for partition, end in sorted(ends.items()):
            there = ranges.get(partition)
            if anew:
                gaps.append(Gap(topic, partition, end, end, RECREATED))
            elif there is not None and there.low > end:
                gaps.append(Gap(topic, partition, end, there.low, RETENTION))
    return gaps


def look(admin: AdminClient, topics: Mapping[str, Sequence[int]]) -> Kafka:
    """What the broker says of these topics' partitions. Raises TransientError when it does not."""
    places = [TopicPartition(topic, p) for topic, parts in topics.items() for p in parts]
    if not places:
        return Kafka({}, {})
    try:
        low = admin.list_offsets({place: OffsetSpec.earliest() for place in places}, request_timeout=_ASK_S)
        high = admin.list_offsets({place: OffsetSpec.latest() for place in places}, request_timeout=_ASK_S)
        told = admin.describe_topics(TopicCollection(list(topics)), request_timeout=_ASK_S)
        ranges: dict[str, dict[int, Range]] = {}
        for place in places:
            one = Range(low[place].result(_ASK_S).offset, high[place].result(_ASK_S).offset)
            ranges.setdefault(place.topic, {})[place.partition] = one
        ids = {topic: str(future.result(_ASK_S).topic_id) for topic, future in told.items()}
    except (KafkaException, TimeoutError) as error:
        raise TransientError("the broker does not tell its offsets", why=type(error).__name__) from error
    return Kafka(ranges, ids)
