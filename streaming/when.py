"""WHEN of a command: a duration back from now, a moment, or a raw batch by its number; and the raw batch it stands for.

A moment is compared with the time at which Kafka took a record, so it needs nothing but raw.
"""

from __future__ import annotations

from datetime import UTC, datetime

from caudal.errors import UsageError
from caudal.query import Query
from caudal.query import text as literal
from schemas import duration

When = int | datetime
"""A raw batch's number, or an aware moment."""


def parse(text: str, now: datetime) -> When:
    """What the text says: `P1D` (so long ago), `2026-01-31T12:00:00Z` (UTC when it names no zone), or `1234`.

    Raises UsageError when it is none of these.
    """
    if text.isdecimal():
        return int(text)
    try:
        return now - duration.parse(text)
    except (ValueError, OverflowError):
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no moment", fix="a duration like PT1H or P1D, a time like 2026-01-31T12:00Z, or a raw batch"
        ) from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def first_batch(raw: Query, when: When, topic: str | None = None) -> int:
    """The first batch of `raw` (a table of that name; of one topic or of all) that holds a record of that moment or
    later; one after the last batch when there is none. A number is that batch, but never more than one after the last.
    """
    mine = f" WHERE topic = {literal(topic)}" if topic else ""
    behind = int(raw.one(f'SELECT coalesce(max("_batch"), 0) + 1 FROM raw{mine}'))
    if isinstance(when, int):
        return min(max(when, 1), behind)
    since = f"kafka_time >= timestamp '{when.astimezone(UTC).isoformat()}'"
    found = raw.one(f'SELECT min("_batch") FROM raw{mine}{" AND" if mine else " WHERE"} {since}')
    return behind if found is None else int(found)
