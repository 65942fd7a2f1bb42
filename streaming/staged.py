"""An append to Delta in two steps: its files are written at once, its commit when what must come before it is there.

Between the two, nothing of it can be read. Delta has both steps but offers them together only, and before them asks the
table for the last version of a transaction id, for which its whole state is put together: half of what a small append
took. A table's one writer read from the log, when it began, what it has written. So the steps are called as Delta's own
`WriteIntoDelta` (of the version that is pinned) calls them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming.commit import Txn

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Staged:
    """Files that are written and not part of the table yet."""

    _jvm: Any
    _transaction: Any
    _actions: Any
    _txn: Txn
    _metadata: str

    def commit(self) -> None:
        """Make them part of the table, with the transaction id and the metadata.

        Whatever Delta raises leaves the table as it was; files without a commit go with the next vacuum. A commit
        under the same id that another writer made meanwhile is a conflict.
        """
        delta, option = self._jvm.org.apache.spark.sql.delta, self._jvm.scala.Option
        now, nothing = self._jvm.System.currentTimeMillis(), option.empty()
        mark = delta.actions.SetTransaction(self._txn.app, self._txn.version, option.apply(now))
        operation = getattr(delta, "DeltaOperations$Write")(
            _append(self._jvm),
            option.apply(_none(self._jvm)),
            nothing,
            option.apply(self._metadata or None),
            *[nothing] * 5,
        )
        self._transaction.readTxn().append(self._txn.app)
        self._transaction.commit(self._actions.appended(mark), operation)


def stage(frame: DataFrame, path: str, txn: Txn, metadata: str = "") -> Staged:
    """Write the files of an append of rows of exactly the table's columns; the table stays as it is until `commit`."""
    session = frame.sparkSession
    jvm, java = session.sparkContext._jvm, session._jsparkSession
    assert jvm is not None
    delta, nothing = jvm.org.apache.spark.sql.delta, jvm.scala.Option.empty()
    # What runs below asks for the thread's session; the settings of another one would hold.
    jvm.org.apache.spark.sql.classic.SparkSession.setActiveSession(java)
    log = delta.DeltaLog.forTable(java, path)
    transaction = log.startTransaction()
    settings = jvm.org.apache.spark.api.python.PythonUtils.toScalaMap(jvm.java.util.HashMap())
    options = delta.DeltaOptions(settings, java.sessionState().conf())
    write = delta.commands.WriteIntoDelta(
        log, _append(jvm), options, _none(jvm), settings, frame._jdf, nothing, nothing, False
    )
    return Staged(jvm, transaction, write.write(transaction, java, nothing, False), txn, metadata)


def _append(jvm: Any) -> Any:
    return jvm.org.apache.spark.sql.SaveMode.Append


def _none(jvm: Any) -> Any:
    """Scala's empty list."""
    return jvm.org.apache.spark.api.python.PythonUtils.toSeq(jvm.java.util.ArrayList())
