"""How large records are, by topic, and how many of them a batch may hold for that.

Kafka's source takes a number of records and no number of bytes. What was seen in raw's last batches says what that
number means in bytes; it travels in raw's commits, so a restart knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from streaming.raw import TopicPart

MB = 1_000_000
# Of a topic that nobody has read yet: large enough that its first batch is small, and what it holds is known then.
UNSEEN_BYTES = 10_000
# A batch of large records that is followed by small ones is not forgotten at once: after 22 batches a tenth is left.
_FADES = 0.9
# What a reader of Parquet holds of one column at a time.
_COLUMN_BYTES = 16 * MB


def observed(before: Mapping[str, int], parts: Mapping[str, TopicPart]) -> dict[str, int]:
    """Bytes of a record by topic after a batch: its mean there, or what was known, faded, if that is more."""
    seen = {topic: ceil(part.bytes / part.records) for topic, part in parts.items() if part.records}
    return {**before, **{topic: max(mean, int(before.get(topic, 0) * _FADES)) for topic, mean in seen.items()}}


def most_records(sizes: Mapping[str, int], waiting: Mapping[str, int], bytes_: int, records: int) -> int:
    """Records of the next batch, so that it holds about `bytes_`; at most `records`, at least one.

    `waiting` are records by topic; Kafka's source takes of each topic in proportion to these.
    """
    lots = {topic: n for topic, n in waiting.items() if n > 0}
    if lots:
        mean = sum(n * sizes.get(topic, UNSEEN_BYTES) for topic, n in lots.items()) / sum(lots.values())
    else:
        mean = max(sizes.values(), default=UNSEEN_BYTES)
    return max(1, min(records, int(bytes_ / max(1.0, mean))))


def column_rows(record_bytes: int) -> int:
    """Rows that a reader of raw may hold at a time; Spark's own 4,096 of 100 kB each would be 400 MB."""
    return max(1, min(4096, _COLUMN_BYTES // max(1, record_bytes)))
