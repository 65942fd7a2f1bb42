"""Small files of a table put together in two steps: written while batches go on, made part of the table between them.

Delta's OPTIMIZE does both at once, and a batch would wait for all of it. Of a table whose rows are only added to, no
batch touches what is there, so nothing but the commit needs its place between them. The steps are called as Delta's own
`OptimizeExecutor` (of the version that is pinned) calls them. Files stay in the order of their arrival.

The file is written by Arrow, since Spark would take a core from the batches for ten times as long; by Spark, when files
have lost rows, or hold what Arrow cannot carry over as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable

from caudal.lake import Lake
from streaming import rewrite
from streaming.staged import begun, listed
from streaming.vectors import Files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Compaction:
    """One file that is written and not part of the table yet, and the small ones that it stands for."""

    _jvm: Any
    _transaction: Any
    _actions: Any

    def commit(self) -> None:
        """Put the one file in the place of the others.

        Whatever Delta raises leaves the table as it was: one of the small files is not there any more, or lost rows.
        """
        nothing = self._jvm.scala.Option.empty()
        optimize = getattr(self._jvm.org.apache.spark.sql.delta, "DeltaOperations$Optimize")
        self._transaction.commit(self._actions, optimize(listed(self._jvm), listed(self._jvm), False, nothing, False))


def stage(session: SparkSession, lake: Lake, place: tuple[str, str], names: Sequence[str]) -> Compaction | None:
    """Write the rows of these files of a table (layer, name) into one; None when fewer than two of them are there."""
    jvm, (log, transaction) = session.sparkContext._jvm, begun(session, lake.spark_table(*place))
    small = list(Files().named(transaction, names).values())
    if len(small) < 2:
        return None
    together = listed(jvm, small)
    transaction.trackFilesRead(together)
    try:
        added = [_by_arrow(jvm, lake, place, small, session.conf.get("spark.sql.parquet.compression.codec"))]
    except (pa.ArrowException, _NotPlain):
        added = _by_spark(jvm, log, transaction, together)
    now = jvm.System.currentTimeMillis()
    return Compaction(
        jvm, transaction, listed(jvm, [*added, *(file.removeWithTimestamp(now, False) for file in small)])
    )


class _NotPlain(Exception):
    """Files with deleted rows, or of a partition, or without statistics."""


def _by_arrow(jvm: Any, lake: Lake, place: tuple[str, str], small: Sequence[Any], codec: str) -> Any:
    if any(f.deletionVector() is not None or f.partitionValues().size() or not f.stats() for f in small):
        raise _NotPlain
    table = DeltaTable(lake.table(*place), storage_options=lake.storage_options or None)
    names = [unquote(file.path()) for file in small]
    name, size = rewrite.as_one(lake.files(table), names, pa.schema(table.schema()), codec)
    stats = rewrite.summed([file.stats() for file in small])
    return _described(small[0], name, size, jvm.System.currentTimeMillis(), stats, jvm.scala.Option.empty())


def _by_spark(jvm: Any, log: Any, transaction: Any, small: Any) -> list[Any]:
    option = jvm.scala.Option
    rows = log.createDataFrame(transaction.snapshot(), small, False, option.apply("Optimize"))
    written = transaction.writeFiles(rows.coalesce(1), option.empty(), True, listed(jvm))
    files = [written.apply(number) for number in range(written.size())]
    return [_described(f, f.path(), f.size(), f.modificationTime(), f.stats(), f.clusteringProvider()) for f in files]


def _described(like: Any, path: str, size: int, at_ms: int, stats: str, provider: Any) -> Any:
    """A file that holds what others held: its rows are no news."""
    return like.copy(
        path,
        like.partitionValues(),
        size,
        at_ms,
        False,
        stats,
        like.tags(),
        like.deletionVector(),
        like.baseRowId(),
        like.defaultRowCommitVersion(),
        provider,
    )
