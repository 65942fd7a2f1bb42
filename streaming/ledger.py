"""Step 11: the ledger. Its lines are born inside silver's commits; here they become a table, every few seconds.

The table can always be made whole from the commits, so losing the process between a commit and a flush loses nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from caudal.fault import crashpoint
from caudal.lake import Lake
from caudal.query import Query
from streaming.facts import COUNTS, Facts, Parked, SilverCommit
from streaming.handed import Handed
from streaming.tables import LEDGER, PARKED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


Waiting = tuple[str, int, int, int]
"""Contract, first batch, last batch, schema id of parked records."""


@dataclass(frozen=True)
class Committed:
    """A silver commit's facts with the table version they landed in and when (epoch milliseconds)."""

    facts: SilverCommit
    version: int
    at_ms: int


class Ledger:
    """Lines that wait for the next flush, and the parked records known. Safe for all threads."""

    def __init__(self, spark: SparkSession, lake: Lake) -> None:
        self._spark, self._lake = spark, lake
        self._table, self._parked_table = Handed(lake, LEDGER), Handed(lake, PARKED)
        self._lock = threading.Lock()
        self._lines: list[dict[str, Any]] = []
        self._parked_lines: list[dict[str, Any]] = []
        self._parked: dict[Waiting, int] = {}
        self._since: dict[Waiting, int] = {}

    def load(self, flushed: Mapping[str, int]) -> None:
        """Read what is parked according to the table, up to the commits that the ledger table knows (`flushed`).

        The parked table is written first, so it may hold lines of later commits; `add` brings those again.
        """
        if not self._lake.has_table(*PARKED):
            return
        query = Query(self._lake)
        query.table("parked", *PARKED)
        rows = query.rows(
            "SELECT DISTINCT contract, first_batch, batch, schema_id, records, silver_version, at FROM parked"
        )
        with self._lock:
            for row in rows:
                if row["silver_version"] <= flushed.get(row["contract"], -1):
                    key = (row["contract"], row["first_batch"], row["batch"], row["schema_id"])
                    self._wait(key, int(row["records"]), int(row["at"].timestamp() * 1000))

    def add(self, commit: Committed) -> None:
        """Take in a commit's lines; they reach the table with the next flush."""
        at = datetime.fromtimestamp(commit.at_ms / 1000, UTC)
        with self._lock:
            self._lines += [_ledger_row(line, commit.version, at) for line in commit.facts.lines]
            for parked in commit.facts.parked:
                key = (parked.contract, parked.first_batch, parked.batch, parked.schema_id)
                self._wait(key, parked.records, commit.at_ms)
                self._parked_lines.append(_parked_row(parked, commit.version, at))

    def take_back(self, undone: Sequence[tuple[int, SilverCommit]], at_ms: int) -> None:
        """Negate the lines of commits that a RESTORE undid, unless the table already did or never had them."""
        if not undone:
            return
        query = Query(self._lake)
        query.table("ledger", *LEDGER)
        for version, facts in undone:
            counted = query.rows(
                # Any of the four tells a line from its own opposite: what is read, waits, is refused or removed.
                f"SELECT abs(sum(read)) + abs(sum(parked)) + abs(sum(dead_letter)) + abs(coalesce(sum(expired), 0)) "
                f"AS n FROM ledger WHERE contract = '{facts.contract}' "
                f"AND silver_version = {version}"
            )
            if counted[0]["n"]:
                back = SilverCommit(
                    facts.contract,
                    facts.upto,
                    tuple(line.negated() for line in facts.lines),
                    tuple(Parked(p.contract, p.first_batch, p.batch, p.schema_id, -p.records) for p in facts.parked),
                )
                self.add(Committed(back, version, at_ms))

    def parked(self, contract: str) -> list[Parked]:
        """What waits for a schema, oldest first."""
        with self._lock:
            found = [Parked(*key, n) for key, n in self._parked.items() if key[0] == contract and n > 0]
        return sorted(found, key=lambda item: item.batch)

    def oldest_parked_ms(self) -> int | None:
        """Since when the longest-waiting record is parked (epoch ms), None when nothing is."""
        with self._lock:
            return min(self._since.values(), default=None)

    def flush(self) -> int:
        """Append all waiting lines to the tables; returns how many. On failure they wait on."""
        with self._lock:
            lines, parked = self._lines, self._parked_lines
            self._lines, self._parked_lines = [], []
        try:
            # Parked first: a ledger line says that its commit's parked lines are there too.
            self._append(parked, self._parked_table)
            parked = []
            if lines:
                crashpoint("mid-ledger")
            self._append(lines, self._table)
        except BaseException:
            with self._lock:
                self._lines, self._parked_lines = lines + self._lines, parked + self._parked_lines
            raise
        return len(lines)

    def _wait(self, key: Waiting, records: int, at_ms: int) -> None:
        self._parked[key] = self._parked.get(key, 0) + records
        self._since.setdefault(key, at_ms)
        if self._parked[key] == 0:
            del self._parked[key], self._since[key]

    def _append(self, rows: list[dict[str, Any]], table: Handed) -> None:
        if rows:
            table.stage(self._spark, pa.Table.from_pylist(rows)).commit()


def _ledger_row(line: Facts, version: int, at: datetime) -> dict[str, Any]:
    return {
        "batch": line.batch,
        "contract": line.contract,
        **{name: getattr(line, name) for name in COUNTS},
        "committed_at": at,
        "silver_version": version,
        "offsets": json.dumps(dict(line.offsets), separators=(",", ":")),
    }


def _parked_row(parked: Parked, version: int, at: datetime) -> dict[str, Any]:
    return {
        "contract": parked.contract,
        "first_batch": parked.first_batch,
        "batch": parked.batch,
        "schema_id": parked.schema_id,
        "records": parked.records,
        "at": at,
        "silver_version": version,
    }
