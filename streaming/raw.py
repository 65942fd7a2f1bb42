"""Steps 2 and 4: a micro-batch in raw's shape, what is in it, and its append to `raw.events`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.tables import RAW_EVENTS
from streaming.commit import Txn, append
from streaming.facts import RawCommit
from streaming.session import plain, weigh
from streaming.staged import stage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RAW_NAMES = tuple(column.name for column in RAW_EVENTS)

# Confluent framing: a zero byte, then the schema id as a big-endian int32. A value that does not begin like this has
# no id; neither has one whose id would be negative, which no registry gives.
SCHEMA_ID = (
    "CASE WHEN length(value) >= 5 AND substring(value, 1, 1) = X'00' AND substring(value, 2, 1) < X'80' "
    "THEN CAST(conv(hex(substring(value, 2, 4)), 16, 10) AS INT) END"
)


@dataclass(frozen=True)
class TopicPart:
    """What one batch or slice holds of one topic: records by schema id (None: no id), offsets [from, end) and the
    newest `kafka_time` (epoch ms) by partition; of a surveyed batch also the bytes of all values and of the largest."""

    ids: Mapping[int | None, int]
    offsets: Mapping[int, tuple[int, int]]
    times: Mapping[int, int] = field(default_factory=dict)
    bytes: int = 0
    largest: int = 0

    @property
    def records(self) -> int:
        return sum(self.ids.values())


def shaped(batch: DataFrame, number: int, date: str, parts: int) -> DataFrame:
    """The Kafka source's rows as `raw.events` rows of batch `number`, in at most `parts` tasks.

    Kafka gives one task for each partition of each topic; most hold a handful of records, so they share tasks.
    """
    return batch.coalesce(parts).selectExpr(
        "topic",
        "partition",
        "offset",
        "timestamp AS kafka_time",
        "key",
        "value",
        "headers",
        f"{SCHEMA_ID} AS schema_id",
        f"DATE'{date}' AS ingest_date",
        f"CAST({number} AS BIGINT) AS _batch",
    )


def survey(rows: DataFrame, *, sized: bool = False) -> dict[str, TopicPart]:
    """What raw-shaped rows hold, by topic. A few numbers of each row reach the driver, as columns: less work than
    counting them in Spark, of which every step of each task is a part of a small batch's age.

    `sized` asks for the bytes too, which reads the values: cheap for rows that are held, and only for these.
    """
    from pyspark.sql import functions as F

    length = F.length("value").cast("bigint") if sized else F.lit(0).cast("bigint")
    at = F.unix_millis("kafka_time").alias("at")
    places = rows.select("topic", "partition", "schema_id", "offset", at, length.alias("size")).toArrow()
    counted = [
        ("offset", "count"),
        ("offset", "min"),
        ("offset", "max"),
        ("at", "max"),
        ("size", "sum"),
        ("size", "max"),
    ]
    found = places.group_by(["topic", "partition", "schema_id"]).aggregate(counted).to_pylist()
    ids: dict[str, dict[int | None, int]] = defaultdict(lambda: defaultdict(int))
    offsets: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)
    times: dict[str, dict[int, int]] = defaultdict(dict)
    sizes: dict[str, tuple[int, int]] = {}
    for row in found:
        topic, partition = row["topic"], row["partition"]
        ids[topic][row["schema_id"]] += row["offset_count"]
        low, end = offsets[topic].get(partition, (row["offset_min"], 0))
        offsets[topic][partition] = (min(low, row["offset_min"]), max(end, row["offset_max"] + 1))
        times[topic][partition] = max(times[topic].get(partition, 0), row["at_max"] or 0)
        size, largest = sizes.get(topic, (0, 0))
        sizes[topic] = size + (row["size_sum"] or 0), max(largest, row["size_max"] or 0)
    return {topic: TopicPart(dict(ids[topic]), offsets[topic], times[topic], *sizes[topic]) for topic in ids}


def append_raw(rows: DataFrame, path: str, txn: Txn, facts: RawCommit, largest: int = 0) -> None:
    """Append a batch whose number follows the one that the log names last; two writers of one number conflict.

    `largest` is the longest value in it, in bytes.
    """
    plain(rows.sparkSession, ("value",))
    weigh(rows.sparkSession, largest)
    stage(rows.select(*RAW_NAMES), path, txn, facts.text()).commit()


def append_facts(nothing: DataFrame, path: str, txn: Txn, facts: RawCommit) -> None:
    """Move raw's position without a row, once for this transaction id."""
    append(nothing.select(*RAW_NAMES), path, txn, facts.text())
