"""Kafka's half of verify: what the topics still hold, read committed, against raw, byte for byte."""

from __future__ import annotations

import time
import zlib
from collections.abc import Mapping

from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.query import Query
from caudal.settings import Settings
from schemas.topics import client_conf
from streaming import purged
from streaming.positions import raw_commit_of, raw_position
from streaming.recount import SHOWN, Found

Place = tuple[str, int]
# Offsets and checksums of a partition are held in memory: a few hundred bytes per record.
MOST_PER_PARTITION = 300_000
# A broker that says nothing for this long is away.
SILENCE_S = 15.0


def compare(settings: Settings, lake: Lake, since: int = 0) -> tuple[Found, bool]:
    """Every record in [first retained offset, raw's end) is in raw once with the same key and value, and no other.

    Of raw batches from `since` on when it is not 0; where raw's log no longer tells where they begin, from the first
    record that raw has of them. True when partitions were so long that only their newest records were compared. Raises
    TransientError when the broker goes away.
    """
    found = Found()
    query = Query(lake)
    version = purged.pin(query, lake)
    ends = raw_position(lake, version).ends
    sums, partial = _read(settings, ends, _starts(query, lake, since, version) if since else {})
    for (topic, partition), (low, there) in sums.items():
        end = ends[topic][partition]
        found.examined += len(there)
        missing = dict(there)
        strangers: list[int] = []
        reader = query.arrow(
            f'SELECT "offset" AS o, key, value FROM raw WHERE topic = \'{topic}\' AND "partition" = {partition} '
            f'AND "offset" >= {low} AND "offset" < {end}'
        )
        for batch in reader.to_batches(max_chunksize=10_000):
            for offset, key, value in zip(*(batch.column(i).to_pylist() for i in range(3)), strict=True):
                kept = missing.pop(offset, None)
                if kept is None or kept != _sum(key, value):
                    strangers.append(offset)
        for gone in purged.ranges(query, topic, partition, low, end):
            for offset in range(max(low, gone[0]), min(end, gone[1] + 1)):
                missing.pop(offset, None)
        if missing:
            found.say(f"{topic}/{partition}: {len(missing)} records are in Kafka and not in raw, first {min(missing)}")
        if strangers:
            shown = ", ".join(str(offset) for offset in sorted(strangers)[:SHOWN])
            found.say(f"{topic}/{partition}: {len(strangers)} records of raw are not what Kafka holds, at {shown}")
    return found, partial


def _starts(query: Query, lake: Lake, since: int, version: int) -> dict[Place, int]:
    """Where raw stood before batch `since`, by partition; one that it read nothing of by then is not among them."""
    before = raw_commit_of(lake, since - 1, version)
    if before is not None:
        return {(topic, p): end for topic, parts in before.ends.items() for p, end in parts.items()}
    rows = query.rows(
        'SELECT topic, "partition" AS p, min(CASE WHEN "_batch" >= ' + str(since) + ' THEN "offset" END) AS low, '
        'max("offset") + 1 AS high FROM raw GROUP BY topic, "partition"'
    )
    return {(row["topic"], row["p"]): row["high"] if row["low"] is None else row["low"] for row in rows}


def _read(
    settings: Settings, ends: Mapping[str, Mapping[int, int]], starts: Mapping[Place, int]
) -> tuple[dict[Place, tuple[int, dict[int, int]]], bool]:
    """By partition: the first offset read, `starts` or what Kafka has, and checksums by offset up to raw's end."""
    from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

    consumer = Consumer(
        {
            **client_conf(settings),
            "group.id": "caudal.verify",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",
        }
    )
    out: dict[Place, tuple[int, dict[int, int]]] = {}
    partial = False
    try:
        start = []
        for topic, parts in ends.items():
            for partition, end in parts.items():
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=SILENCE_S)
                begin = max(low, starts.get((topic, partition), low))
                first = max(begin, end - MOST_PER_PARTITION)
                partial = partial or first > begin
                if min(end, high) > first:
                    out[topic, partition] = (first, {})
                    start.append(TopicPartition(topic, partition, first))
        consumer.assign(start)
        left = set(out)
        heard = time.monotonic()
        while left:
            for message in consumer.consume(5000, timeout=1.0):
                place = (message.topic(), message.partition())
                heard = time.monotonic()
                if message.error() is not None:
                    if message.error().code() == KafkaError._PARTITION_EOF:
                        left.discard(place)
                    continue
                if place in left and message.offset() < ends[place[0]][place[1]]:
                    out[place][1][message.offset()] = _sum(message.key(), message.value())
                if message.offset() >= ends[place[0]][place[1]] - 1:
                    left.discard(place)
                    consumer.pause([TopicPartition(*place)])
            if time.monotonic() - heard > SILENCE_S:
                raise TransientError(
                    "the broker stopped answering", where="verify", fix="check the broker: caudal status"
                )
    except KafkaException as error:
        raise TransientError("the broker does not answer", where="verify", why=error.args[0].name()) from error
    finally:
        consumer.close()
    return out, partial


def _sum(key: bytes | None, value: bytes | None) -> int:
    """A checksum that tells a null from an empty value."""
    return zlib.crc32(value or b"", zlib.crc32(key or b"", (key is None) + 2 * (value is None)))
