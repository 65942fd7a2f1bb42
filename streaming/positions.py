"""Where everything stands, read from the tables alone: raw's end offsets, and what each silver table covers.

Spark's checkpoint is scratch. The truth is in the commits: raw's hold every partition's end offset, silver's the
highest raw batch covered. A RESTORE is seen in the log, what it undid no longer counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deltalake import DeltaTable

from caudal.commits import history
from caudal.lake import Lake
from caudal.query import Query
from streaming.facts import RawCommit, SilverCommit, raw_commit, silver_commit
from streaming.tables import GENERATION, LEDGER, RAW

NOTHING = RawCommit(0, {})


@dataclass(frozen=True)
class SilverPosition:
    """`covered` is the highest raw batch in the table's present content, 0 for none.

    `generation` is the version of the last RESTORE (0: none); `stored_generation` the one that the table remembers.
    `unflushed` are commits, oldest first, whose facts the ledger table may lack; `undone` those that a RESTORE took
    back.
    """

    version: int
    covered: int
    generation: int
    stored_generation: int
    unflushed: tuple[tuple[int, SilverCommit], ...]
    undone: tuple[tuple[int, SilverCommit], ...]


def raw_position(lake: Lake, at: int | None = None) -> RawCommit:
    """The last batch in raw (as of version `at`) and every partition's end offset; batch 0 when raw is empty."""
    if not lake.has_table(*RAW):
        return NOTHING
    for _, entry in history(lake, *RAW, _newest(lake, *RAW) if at is None else at):
        facts = raw_commit(entry.get("userMetadata"))
        if facts is not None:
            return facts
    return _raw_from_rows(lake)


def raw_commit_of(lake: Lake, batch: int, at: int | None = None) -> RawCommit | None:
    """Where raw stood after a batch; None when its log does not tell (any more). `at` is the version to look from."""
    for _, entry in history(lake, *RAW, _newest(lake, *RAW) if at is None else at):
        facts = raw_commit(entry.get("userMetadata"))
        # A batch's number stands in a second commit when positions were moved by hand; the newest counts.
        if facts is not None and facts.batch <= batch:
            return facts if facts.batch == batch else None
    return None


def silver_position(lake: Lake, table: str, flushed: int, at: int | None = None) -> SilverPosition:
    """Walk a silver table's log back to the last commit that the ledger table knows (`flushed`) and to its facts.

    `at` looks at an older version of the table instead of the newest.
    """
    opened = DeltaTable(lake.table("silver", table), version=at, storage_options=lake.storage_options or None)
    stored = int(opened.metadata().configuration.get(GENERATION, "0"))
    generation, covered, skip_above = stored, -1, None
    unflushed: list[tuple[int, SilverCommit]] = []
    undone: list[tuple[int, SilverCommit]] = []
    for version, entry in history(lake, "silver", table, opened.version()):
        if entry.get("operation") == "RESTORE" and (skip_above is None or version <= skip_above):
            generation = max(generation, version)
            skip_above = _restored_to(entry, version)
        facts = silver_commit(entry.get("userMetadata"))
        if facts is None:
            continue
        if skip_above is not None and version > skip_above:
            undone.append((version, facts))
            continue
        covered = max(covered, facts.upto)
        if version <= flushed:
            break
        unflushed.append((version, facts))
    return SilverPosition(
        opened.version(), max(covered, 0), generation, stored, tuple(reversed(unflushed)), tuple(undone)
    )


def commits(lake: Lake, table: str, newest: int) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """A silver table's commits from `newest` backwards, and whether a RESTORE has undone them."""
    skip_above: int | None = None
    for version, entry in history(lake, "silver", table, newest):
        if entry.get("operation") == "RESTORE" and (skip_above is None or version <= skip_above):
            skip_above = _restored_to(entry, version)
        yield version, entry, skip_above is not None and version > skip_above


def flushed_versions(lake: Lake) -> dict[str, int]:
    """For each contract the newest silver version whose facts the ledger table holds."""
    if not lake.has_table(*LEDGER):
        return {}
    query = Query(lake)
    query.table("ledger", *LEDGER)
    rows = query.rows("SELECT contract, max(silver_version) AS v FROM ledger GROUP BY contract")
    return {str(row["contract"]): int(row["v"]) for row in rows}


def _newest(lake: Lake, layer: str, table: str) -> int:
    return DeltaTable(lake.table(layer, table), storage_options=lake.storage_options or None).version()


def _restored_to(entry: dict[str, Any], version: int) -> int:
    wanted = str((entry.get("operationParameters") or {}).get("version") or "")
    # A restore by time names no version; then nothing before it counts, which only costs a longer catch-up.
    return int(wanted) if wanted.isdigit() and int(wanted) < version else -1


def _raw_from_rows(lake: Lake) -> RawCommit:
    """Raw's position from its rows, for a log so old that no batch's commit is left in it."""
    query = Query(lake)
    query.table("raw", *RAW)
    rows = query.rows(
        'SELECT topic, "partition" AS part, max("offset") + 1 AS end_offset, max("_batch") AS batch '
        'FROM raw GROUP BY topic, "partition"'
    )
    ends: dict[str, dict[int, int]] = {}
    for row in rows:
        ends.setdefault(str(row["topic"]), {})[int(row["part"])] = int(row["end_offset"])
    return RawCommit(max((int(row["batch"]) for row in rows), default=0), ends)
