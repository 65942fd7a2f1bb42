"""Step 1: Kafka as rows of raw's shape, read committed, from positions that raw itself holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from caudal.errors import TransientError
from caudal.settings import KafkaSettings
from streaming.settings import StreamingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Ends = Mapping[str, Mapping[int, int]]
"""End offsets by topic and partition: the offset after the last record."""

EARLIEST = -2
METADATA_S = 10.0


def stream(
    spark: SparkSession,
    kafka: KafkaSettings,
    own: StreamingSettings,
    topics: Sequence[str],
    ends: Ends,
    most: int | None = None,
) -> DataFrame:
    """The stream of all topics, starting where raw ends; partitions that raw has never seen start at their beginning.

    `failOnDataLoss` stays true: offsets that are gone end the query with an error instead of a gap. `most` are the
    records of the first batch (None: the most that the settings allow).
    """
    return (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", kafka.bootstrap)
        .options(**{f"kafka.{name}": value for name, value in kafka.security.items()})
        .option("subscribe", ",".join(sorted(topics)))
        .option("startingOffsets", starting_offsets(partitions(kafka, topics), ends))
        # The sealer writes in transactions: what was aborted must never be seen.
        .option("kafka.isolation.level", "read_committed")
        .option("failOnDataLoss", "true")
        .option("includeHeaders", "true")
        .option("maxOffsetsPerTrigger", most or own.batch_records)
        # A consumer holds what it has fetched and what it has unpacked of that; a record that is larger still comes.
        .option("kafka.fetch.max.bytes", 8_000_000)
        .option("kafka.max.poll.records", 100)
        # A broker that restarts needs longer than three quick tries.
        .option("fetchOffset.numRetries", 10)
        .option("fetchOffset.retryIntervalMs", 1000)
        .load()
    )


def partitions(kafka: KafkaSettings, topics: Sequence[str]) -> dict[str, list[int]]:
    """Partitions of each topic that exists now; topics that do not exist are left out.

    Raises TransientError when the broker does not answer.
    """
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 2, **kafka.security})
    try:
        found = admin.list_topics(timeout=METADATA_S).topics
    except KafkaException as error:
        raise TransientError("the broker does not tell its topics", why=error.args[0].name()) from error
    return {t: sorted(found[t].partitions) for t in topics if t in found and found[t].error is None}


def starting_offsets(existing: Mapping[str, Sequence[int]], ends: Ends) -> str:
    """Spark's JSON of starting offsets: it must name every partition, so unseen ones get the beginning."""
    return json.dumps(
        {t: {str(p): ends.get(t, {}).get(p, EARLIEST) for p in parts} for t, parts in sorted(existing.items())}
    )
