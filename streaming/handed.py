"""Rows that Python holds already, appended to a table without a Spark job: Arrow writes the file, Delta commits it.

A job for a handful of rows takes longer than all else that becomes of them, and it would have to wait for those of the
batch. Only for tables whose columns this process has made, and that no constraint guards.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from caudal.lake import Lake
from streaming.commit import Txn
from streaming.rewrite import new_name
from streaming.staged import Staged, begun, listed

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem
    from pyspark.sql import SparkSession

# Delta keeps so many characters of a text in statistics; a longer maximum would have to be rounded up.
_TEXT = 32


class Handed:
    """A table (layer, name) that rows are handed to. Its columns are those that it has at first use."""

    def __init__(self, lake: Lake, place: tuple[str, str]) -> None:
        self._lake, self._place = lake, place
        self._opened: tuple[FileSystem, pa.Schema] | None = None

    def stage(self, session: SparkSession, rows: pa.Table, txn: Txn | None = None) -> Staged:
        """Write the file of these rows; the table stays as it is until `commit`. Columns that they lack are null."""
        storage, schema = self._open()
        fitted = pa.table([_column(rows, field) for field in schema], schema=schema)
        codec = session.conf.get("spark.sql.parquet.compression.codec")
        name = new_name(codec)
        with storage.open_output_stream(name) as out:
            pq.write_table(fitted, out, compression=codec, store_schema=False)
        jvm = session.sparkContext._jvm
        _, transaction = begun(session, self._lake.spark_table(*self._place))
        added = _added(jvm, name, storage.get_file_info(name).size, json.dumps(statistics(fitted)))
        return Staged(session, transaction, listed(jvm, [added]), txn, "", None)

    def _open(self) -> tuple[FileSystem, pa.Schema]:
        if self._opened is None:
            table = DeltaTable(self._lake.table(*self._place), storage_options=self._lake.storage_options or None)
            self._opened = self._lake.files(table), pa.schema(table.schema())
        return self._opened


def _column(rows: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    there = field.name in rows.column_names
    return rows[field.name].cast(field.type) if there else pa.nulls(len(rows), field.type)


def _added(jvm: Any, name: str, size: int, stats: str) -> Any:
    nothing, delta = jvm.scala.Option.empty(), jvm.org.apache.spark.sql.delta
    nowhere = jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(jvm.java.util.HashMap())
    now = jvm.System.currentTimeMillis()
    return delta.actions.AddFile(name, nowhere, size, now, True, stats, None, None, nothing, nothing, nothing)


def statistics(rows: pa.Table) -> dict[str, Any]:
    """Delta's statistics of these rows.

    https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
    """
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    for name in rows.column_names:
        found = _bounds(rows[name])
        if found is not None:
            low[name], high[name] = found
    nulls = {name: rows[name].null_count for name in rows.column_names}
    return {"numRecords": len(rows), "minValues": low, "maxValues": high, "nullCount": nulls, "tightBounds": True}


def _bounds(column: pa.ChunkedArray) -> tuple[Any, Any] | None:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_timestamp(kind)):
        return None
    low, high = (pc.min_max(column)[end].as_py() for end in ("min", "max"))
    if low is None or (isinstance(high, str) and max(len(low), len(high)) > _TEXT):
        return None
    return (_ms(low), _ms(high)) if isinstance(low, datetime) else (low, high)


def _ms(at: datetime) -> str:
    """Cut to milliseconds, as all who read statistics of times expect."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
