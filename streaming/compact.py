"""Small files of a table put together in two steps: written while batches go on, made part of the table between them.

Delta's OPTIMIZE does both at once, and a batch would wait for all of it. Of a table whose rows are only added to, no
batch touches what is there, so nothing but the commit needs its place between them. The steps are called as Delta's own
`OptimizeExecutor` (of the version that is pinned) calls them. Files stay in the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


def stage(session: SparkSession, path: str, names: Sequence[str]) -> Compaction | None:
    """Write the rows of these files into one; None when fewer than two of them are there."""
    jvm, (log, transaction) = session.sparkContext._jvm, begun(session, path)
    option = jvm.scala.Option
    small = list(Files().named(transaction, names).values())
    if len(small) < 2:
        return None
    together = listed(jvm, small)
    transaction.trackFilesRead(together)
    rows = log.createDataFrame(transaction.snapshot(), together, False, option.apply("Optimize"))
    written = transaction.writeFiles(rows.coalesce(1), option.empty(), True, listed(jvm))
    now = jvm.System.currentTimeMillis()
    added = [_moved(written.apply(number)) for number in range(written.size())]
    return Compaction(
        jvm, transaction, listed(jvm, [*added, *(file.removeWithTimestamp(now, False) for file in small)])
    )


def _moved(file: Any) -> Any:
    """The same file, saying that its rows are no news."""
    return file.copy(
        file.path(),
        file.partitionValues(),
        file.size(),
        file.modificationTime(),
        False,
        file.stats(),
        file.tags(),
        file.deletionVector(),
        file.baseRowId(),
        file.defaultRowCommitVersion(),
        file.clusteringProvider(),
    )
