"""A contract's silver table as its only writer sees it, told by the log and not by Spark.

Delta's own scan asks the table's state with five Spark queries before it reads a row, which was nearly half of what a
small batch cost. The files that matter, and the positions in them that are deleted, are known to deltalake at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from caudal.commits import actions, read
from caudal.lake import Lake
from streaming.vectors import Files

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Beyond every time that a table has, in epoch milliseconds.
_FAR = 2**62
_PLACE = ("_file", "_at")
# What takes files away and leaves each of their keys a row in those that it brings, or had brought before.
_KEEP_KEYS = ("MERGE", "OPTIMIZE", "REORG")
_NOWHERE = pa.schema([(name, pa.int64()) for name in ("_partition", "_offset", *_PLACE)])


@dataclass(frozen=True)
class Window:
    """Rows whose `column` lies in one of `spans`: first and last, both included; times are epoch milliseconds."""

    column: str
    spans: Sequence[tuple[int, int]]


class SilverTable:
    """Version and rows of `silver/<table>`. Opened once; another look reads only the commits since the last."""

    def __init__(self, lake: Lake, table: str) -> None:
        self._lake, self._place = lake, ("silver", table)
        self._folder = lake.spark_table("silver", table)
        self._opened = DeltaTable(lake.table("silver", table), storage_options=lake.storage_options or None)
        self._storage = lake.files(self._opened)
        self.files = Files()

    def version(self) -> int:
        """The newest version."""
        self._opened.update_incremental()
        return self._opened.version()

    @property
    def at(self) -> int:
        """The version as of the last look."""
        return self._opened.version()

    def transaction(self, app: str) -> int | None:
        """The version of a transaction id's last commit, None when there is none."""
        return self._opened.transaction_version(app)

    def rows(self, session: SparkSession, columns: Sequence[tuple[str, str]], window: Window | None) -> DataFrame:
        """The given columns (name, Spark type) of the rows in the table as of the last look at its version.

        Only files that may hold rows of the window are read; all when it is None. A column that a file was written
        without is null there.
        """
        return self._read(session, columns, self._files(window)).drop(*_PLACE)

    def placed(
        self, session: SparkSession, columns: Sequence[tuple[str, str]], names: Sequence[str] | None = None
    ) -> DataFrame:
        """The given columns of all rows, or of those in these files, and each row's place: `_file` and `_at`."""
        return self._read(session, columns, self._files(None) if names is None else names)

    def pieces(
        self,
        session: SparkSession,
        columns: Sequence[tuple[str, str]],
        window: Window | None,
        most: int,
        among: Sequence[str] | None = None,
    ) -> Iterator[tuple[list[str], DataFrame]]:
        """The same with each row's place, in pieces of whole files (their names come with them) of about `most` rows.
        Only of files `among`, when they are given."""
        names, counts = self._files(window), self._counts()
        if among is not None:
            names = sorted(set(names) & set(among))
        while names:
            piece, rows = [names.pop()], 0
            rows = counts.get(piece[0], most)
            while names and rows + counts.get(names[-1], most) <= most:
                rows += counts.get(names[-1], most)
                piece.append(names.pop())
            yield piece, self._read(session, columns, piece)

    def added(self, since: int) -> list[str] | None:
        """Names of the files that commits after `since`, up to the last look, brought.

        None when rows may have left the table meanwhile and none of their key came in their place.
        """
        found: list[str] = []
        for version in range(since + 1, self.at + 1):
            commit = read(self._lake, *self._place, version)
            if commit is None:
                return None
            told = actions(commit)
            gone = {action["remove"]["path"] for action in told if "remove" in action}
            came = [action["add"]["path"] for action in told if "add" in action]
            operation = next((action["commitInfo"].get("operation") for action in told if "commitInfo" in action), "")
            if gone and operation not in _KEEP_KEYS:
                return None
            # A file that loses rows is removed and added under its name.
            found += [unquote(path) for path in came if path not in gone]
        return found

    def coordinates(self, names: Sequence[str]) -> pa.Table:
        """Where the rows of these files come from, `_partition` and `_offset`, and where they are: `_file`, the
        name's place among `names`, and `_at`."""
        parts = []
        for number, name in enumerate(names):
            with self._storage.open_input_file(name) as file:
                rows = pq.read_table(file, columns=["_partition", "_offset"])
            at = pa.array(np.arange(len(rows), dtype=np.int64))
            parts.append(rows.append_column("_file", pa.repeat(number, len(rows))).append_column("_at", at))
        return pa.concat_tables(parts) if parts else _NOWHERE.empty_table()

    def count(self, window: Window | None) -> int:
        """Rows in the files that may hold rows of the window, deleted ones included."""
        counts = self._counts()
        return sum(counts.get(name, 0) for name in self._files(window))

    def newest(self, column: str) -> int | None:
        """The largest time (epoch ms) of a column by the files' statistics, None when they do not tell."""
        actions = pa.table(self._opened.get_add_actions(flatten=True))
        if f"max.{column}" not in actions.column_names:
            return None
        return max((_ms(end) for end in actions[f"max.{column}"].to_pylist() if end is not None), default=None)

    def latest(self, column: str, rows: int) -> int:
        """A time (epoch ms) from which on, by the files' statistics, the table has at most `rows` rows."""
        actions = pa.table(self._opened.get_add_actions(flatten=True))
        if f"max.{column}" not in actions.column_names:
            return _FAR
        ends = [_ms(end) if end else _FAR for end in actions[f"max.{column}"].to_pylist()]
        files = sorted(zip(ends, actions["num_records"].to_pylist(), strict=True), key=lambda file: -file[0])
        total = 0
        for end, n in files:
            total += n or 0
            if total > rows:
                # This file and all before it in time are left out.
                return end + 2
        return -_FAR

    def _read(self, session: SparkSession, columns: Sequence[tuple[str, str]], files: Sequence[str]) -> DataFrame:
        schema = ", ".join(f"`{name}` {kind}" for name, kind in columns)
        if not files:
            placed = [*columns, ("_file", "STRING"), ("_at", "BIGINT")]
            listed = ", ".join(f"CAST(NULL AS {kind}) AS `{name}`" for name, kind in placed)
            return session.sql(f"SELECT {listed} WHERE false")
        found = session.read.schema(schema).parquet(*(f"{self._folder}/{name}" for name in files))
        return _without(session, found, self._deleted(files))

    def _counts(self) -> dict[str, int]:
        """Rows of each live file, deleted ones included; files without statistics are missing."""
        actions = pa.table(self._opened.get_add_actions(flatten=True))
        pairs = zip(actions["path"].to_pylist(), actions["num_records"].to_pylist(), strict=True)
        return {unquote(name): n for name, n in pairs if n is not None}

    def _files(self, window: Window | None) -> list[str]:
        """Names of the live files, without those whose statistics lie outside the window."""
        actions = pa.table(self._opened.get_add_actions(flatten=True))
        names = [unquote(name) for name in actions["path"].to_pylist()]
        first, last = (f"{end}.{window.column}" if window else "" for end in ("min", "max"))
        if window is None or first not in actions.column_names:
            return names
        bounds = zip(actions[first].to_pylist(), actions[last].to_pylist(), strict=True)
        return [name for name, (low, high) in zip(names, bounds, strict=True) if _meets(window, low, high)]

    def _deleted(self, files: Sequence[str]) -> pa.Table | None:
        """Rows (file name, position) that deletion vectors took out of these files; None when there are none."""
        vectors = pa.table(self._opened.deletion_vectors())
        wanted, parts = set(files), []
        for path, kept in zip(vectors["filepath"].to_pylist(), vectors["selection_vector"], strict=True):
            name = unquote(path.rpartition("/")[2])
            if name in wanted:
                gone = pc.indices_nonzero(pc.invert(kept.values)).cast(pa.int64())
                parts.append(pa.table({"_file": pa.repeat(pa.scalar(name), len(gone)), "_at": gone}))
        return pa.concat_tables(parts) if parts else None


def _without(session: SparkSession, rows: DataFrame, deleted: pa.Table | None) -> DataFrame:
    from pyspark.sql import functions as F

    placed = rows.select("*", F.expr("_metadata.file_name AS _file"), F.expr("_metadata.row_index AS _at"))
    if deleted is None:
        return placed
    gone = F.broadcast(session.createDataFrame(deleted))
    return placed.join(gone, list(_PLACE), "left_anti")


def _meets(window: Window, low: datetime | int | None, high: datetime | int | None) -> bool:
    # A file without statistics may hold anything; statistics of times are cut to milliseconds.
    if low is None or high is None:
        return True
    first, last = _number(low), _number(high) + 1
    return any(first <= end and last >= begin for begin, end in window.spans)


def _number(value: datetime | int) -> int:
    return _ms(value) if isinstance(value, datetime) else value


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
