"""A write to Delta in two steps: its files are written at once, its commit when what must come before it is there.

Between the two, nothing of it can be read. Delta has both steps but offers them together only, and before them asks the
table for the last version of a transaction id, for which its whole state is put together: half of what a small append
took. A table's one writer read from the log, when it began, what it has written. So the steps are called as Delta's own
`WriteIntoDelta` (of the version that is pinned) calls them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming.commit import Txn, committing
from streaming.vectors import Places, without

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Staged:
    """Files that are written and not part of the table yet."""

    _session: SparkSession
    _transaction: Any
    _actions: Any
    _txn: Txn | None
    _metadata: str
    _instead: Places | None

    def commit(self) -> None:
        """Make them part of the table, with the transaction id and the metadata.

        Whatever Delta raises leaves the table as it was; files without a commit go with the next vacuum. A commit
        under the same id that another writer made meanwhile is a conflict.
        """
        jvm, actions = _jvm(self._session), self._actions
        if self._txn is not None:
            now = jvm.scala.Option.apply(jvm.System.currentTimeMillis())
            mark = jvm.org.apache.spark.sql.delta.actions.SetTransaction(self._txn.app, self._txn.version, now)
            actions = actions.appended(mark)
            self._transaction.readTxn().append(self._txn.app)
        replaces = _replaces(self._instead)
        operation = _merged(jvm) if replaces else _appended(jvm, self._metadata)
        # Only the operation of an append carries metadata itself; any other takes it from its session.
        with committing(self._session, self._metadata) if replaces and self._metadata else nullcontext():
            version = self._transaction.commit(actions, operation)
        if self._instead is not None:
            self._instead.files.committed(version, self._actions)


def stage(frame: DataFrame, path: str, txn: Txn, metadata: str = "", instead: Places | None = None) -> Staged:
    """Write the files of rows of exactly the table's columns; the table stays as it is until `commit`.

    They come in the place of the rows `instead`. Raises TableDrift when these are not there any more.
    """
    session = frame.sparkSession
    jvm, java = _jvm(session), session._jsparkSession
    delta, nothing = jvm.org.apache.spark.sql.delta, jvm.scala.Option.empty()
    log, transaction = begun(session, path)
    settings = jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(jvm.java.util.HashMap())
    options = delta.DeltaOptions(settings, java.sessionState().conf())
    write = delta.commands.WriteIntoDelta(
        log, _append(jvm), options, listed(jvm), settings, frame._jdf, nothing, nothing, False
    )
    actions = write.write(transaction, java, nothing, False)
    if instead is not None and _replaces(instead):
        actions = actions.appendedAll(listed(jvm, without(jvm, transaction, instead)))
        # A change that somebody else makes meanwhile is a conflict, whatever it touches.
        transaction.readWholeTable()
        _counted(jvm, session, transaction, len(instead.rows))
    return Staged(session, transaction, actions, txn, metadata, instead)


def begun(session: SparkSession, path: str) -> tuple[Any, Any]:
    """A table's log, and a transaction that begins with its newest version."""
    jvm, java = _jvm(session), session._jsparkSession
    # What runs in it asks for the thread's session; the settings of another one would hold.
    jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(java)
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(java, path)
    return log, log.startTransaction()


def _replaces(instead: Places | None) -> bool:
    return instead is not None and len(instead.rows) > 0


def _jvm(session: SparkSession) -> Any:
    return session.sparkContext._jvm


def _append(jvm: Any) -> Any:
    return jvm.org.apache.spark.sql.SaveMode.Append


def _appended(jvm: Any, metadata: str) -> Any:
    option = jvm.scala.Option
    nothing, operations = option.empty(), jvm.org.apache.spark.sql.delta
    return getattr(operations, "DeltaOperations$Write")(
        _append(jvm), option.apply(listed(jvm)), nothing, option.apply(metadata or None), *[nothing] * 5
    )


def _merged(jvm: Any) -> Any:
    """What the commit does is what a MERGE would have done, and the table's history says so."""
    nothing, operations = jvm.scala.Option.empty(), jvm.org.apache.spark.sql.delta
    return getattr(operations, "DeltaOperations$Merge")(*[nothing] * 4, *[listed(jvm)] * 3)


def _counted(jvm: Any, session: SparkSession, transaction: Any, rows: int) -> None:
    """Tell the table's history how many rows were replaced."""
    metrics, context = jvm.java.util.HashMap(), session.sparkContext._jsc.sc()
    for name in ("operationNumSourceRows", "numTargetRowsUpdated"):
        metric = jvm.org.apache.spark.sql.execution.metric.SQLMetrics.createMetric(context, name)
        metric.set(rows)
        metrics.put(name, metric)
    transaction.registerSQLMetrics(
        session._jsparkSession, jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(metrics)
    )


def listed(jvm: Any, items: Sequence[Any] = ()) -> Any:
    """A list of Scala."""
    java = jvm.java.util.ArrayList()
    for item in items:
        java.add(item)
    return jvm.org.apache.spark.api.python.PythonUtils.toSeq(java)
