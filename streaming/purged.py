"""Purges as verify sees them: a record is in raw, or an audited purge names it; never neither, never both for good."""

from __future__ import annotations

from deltalake import DeltaTable

from caudal.lake import Lake
from caudal.query import Query, text
from streaming.tables import PURGES, RAW

SAME = 'p.topic = {0}.topic AND p."partition" = {0}."partition" AND p._batch = {0}._batch'
"""SQL: a purge's line is of the partition and batch of a record of this alias."""
WITHIN = SAME + ' AND {0}."offset" >= p."first" AND {0}."offset" <= p."last"'


def app(purge: str) -> str:
    """The transaction id of what a purge deletes in raw; its version is the last batch that is done."""
    return f"raw/purge/{purge}"


def pin(query: Query, lake: Lake) -> int:
    """Register `events` (raw as it is), `purges`, and `raw`: what raw has and no purge names. Returns raw's version."""
    version = query.table("events", *RAW)
    # Looked at after raw: lines come before what they name is deleted.
    if lake.has_table(*PURGES):
        query.table("purges", *PURGES)
    else:
        query.view("purges", 'SELECT topic AS purge, topic AS contract, topic, "partition", _batch, "offset" AS first, '
                   '"offset" AS last, "offset" AS records FROM events WHERE false')  # fmt: skip
    some = query.one("SELECT count(*) FROM purges")
    left = f" LEFT ANTI JOIN purges p ON {WITHIN.format('e')}" if some else ""
    query.view("raw", f"SELECT e.* FROM events e{left}")
    return version


def ranges(query: Query, topic: str, partition: int, low: int, end: int) -> list[tuple[int, int]]:
    """Purged offsets of a partition, as first and last, that reach into [low, end)."""
    rows = query.rows(
        f'SELECT "first" AS a, "last" AS b FROM purges WHERE topic = {text(topic)} AND "partition" = {partition} '
        f'AND "last" >= {low} AND "first" < {end}'
    )
    return [(int(row["a"]), int(row["b"])) for row in rows]


def findings(query: Query, lake: Lake, raw_version: int, shown: int) -> list[str]:
    """Lines that do not add up, and records that are in raw although their purge is done."""
    found = [
        f"purge {row['purge']}: a line of {row['topic']}, batch {row['b']}, does not count its own offsets"
        for row in query.rows(
            'SELECT purge, topic, _batch AS b FROM purges WHERE records <> "last" - "first" + 1 '
            f"GROUP BY purge, topic, _batch LIMIT {shown}"
        )
    ]
    opened = DeltaTable(lake.table(*RAW), version=raw_version, storage_options=lake.storage_options or None)
    for row in query.rows("SELECT DISTINCT purge FROM purges"):
        last = done(opened, row["purge"])
        back = query.one(
            f"SELECT count(*) FROM events e LEFT SEMI JOIN purges p ON {WITHIN.format('e')} "
            f"AND p.purge = {text(row['purge'])} AND p._batch <= {last}"
        )
        if back:
            found.append(f"purge {row['purge']}: {back} records are in raw again")
    return found


def done(opened: DeltaTable, purge: str) -> int:
    """The last batch of raw of which a purge has deleted what it names; 0 for none."""
    return opened.transaction_version(app(purge)) or 0
