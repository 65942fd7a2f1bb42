"""Rows taken out of a Delta table by their place: the deletion vectors for it, without a MERGE.

A slice that was compared with silver knows file and position of each row that it replaces. A MERGE would look for them
again, with three joins and some twenty Spark jobs; that was half of what a batch cost. Delta's own parts (of the
version that is pinned) read and write the bitmaps; what they mean is in Delta's PROTOCOL.md, "Deletion Vectors".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from streaming.errors import TableDrift

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLACE = pa.schema([("file", pa.string()), ("at", pa.int64())])
"""A row of a table: the name of its file and its position there, from 0 on."""


class Files:
    """A table's live files as Delta describes them, those that were asked for or that its one writer added.

    Asking the table costs more than all else that replacing a row takes, so what is known goes on to the next version.
    """

    def __init__(self) -> None:
        self._version = -1
        self._known: dict[str, Any] = {}

    def named(self, transaction: Any, names: Sequence[str]) -> dict[str, Any]:
        """Delta's AddFile of each of these that the transaction finds alive."""
        snapshot = transaction.snapshot()
        if snapshot.version() != self._version:
            self._version, self._known = snapshot.version(), {}
        missing = [name for name in names if name not in self._known]
        if missing:
            listed = ", ".join(f"'{name}'" for name in missing)
            found = snapshot.allFiles().where(f"path IN ({listed})").collect()
            self._known.update({unquote(file.path()): file for file in found})
        return {name: self._known[name] for name in names if name in self._known}

    def committed(self, version: int, actions: Any) -> None:
        """The one writer made this version out of these actions."""
        if version != self._version + 1:
            return
        self._version = version
        for number in range(actions.size()):
            action = actions.apply(number)
            name = unquote(action.path())
            if action.getClass().getSimpleName() == "AddFile":
                self._known[name] = action
            else:
                self._known.pop(name, None)


@dataclass(frozen=True)
class Places:
    """Rows (PLACE, each once) of one version of a table."""

    version: int
    rows: pa.Table
    files: Files


def without(jvm: Any, transaction: Any, gone: Places) -> list[Any]:
    """Actions that take these rows out of the table. Raises TableDrift when the transaction finds another table."""
    by_file = gone.rows.group_by("file").aggregate([("at", "list")])
    rows = dict(zip(by_file["file"].to_pylist(), (one.values.to_numpy() for one in by_file["at_list"]), strict=True))
    dv = jvm.org.apache.spark.sql.delta.storage.dv
    log = transaction.deltaLog()
    folder, version = log.dataPath(), transaction.snapshot().version()
    if version != gone.version:
        raise _drift(folder, f"version {version} was found instead of {gone.version}")
    files = gone.files.named(transaction, list(rows))
    if len(files) < len(rows):
        raise _drift(folder, f"{len(rows) - len(files)} files with rows that are to be replaced are not there any more")
    store = _module(dv, "DeletionVectorStore").createInstance(log.newDeltaHadoopConf())
    number = jvm.java.util.UUID.randomUUID()
    writer = store.createWriter(store.generateFileNameInTable(store.pathWithFileSystem(folder), number, ""))
    actions: list[Any] = []
    try:
        for name, file in files.items():
            bitmap, before = _bitmap(jvm, rows[name]), file.deletionVector()
            if before is not None:
                bitmap.merge(store.read(before, folder))
            if bitmap.cardinality() != len(rows[name]) + (before.cardinality() if before is not None else 0):
                raise _drift(folder, "a row that is to be replaced is not there any more")
            actions += _marked(jvm, file, bitmap, writer, number)
    finally:
        writer.close()
    return actions


def _marked(jvm: Any, file: Any, bitmap: Any, writer: Any, number: Any) -> list[Any]:
    physical, gone = file.numPhysicalRecords(), bitmap.cardinality()
    if physical.isDefined() and physical.get() == gone:
        return [file.removeWithTimestamp(jvm.System.currentTimeMillis(), True)]
    delta, option = jvm.org.apache.spark.sql.delta, jvm.scala.Option
    portable = delta.deletionvectors.RoaringBitmapArrayFormat.Portable()
    data = bitmap.serializeAsByteArray(portable)
    offset = writer.write(data).offset()
    vector = _module(delta.actions, "DeletionVectorDescriptor").onDiskWithRelativePath(
        number, "", len(data), gone, option.apply(offset), option.empty()
    )
    added_and_removed = file.removeRows(vector, True, True)
    # `Files` reads them one after the other: what is added again was removed before.
    return [added_and_removed._2(), added_and_removed._1()]


def _bitmap(jvm: Any, rows: NDArray[np.int64]) -> Any:
    """Java has no other way to take many numbers at once than as bytes."""
    longs = jvm.java.lang.reflect.Array.newInstance(jvm.java.lang.Long.TYPE, len(rows))
    jvm.java.nio.ByteBuffer.wrap(np.sort(rows).astype(">i8").tobytes()).asLongBuffer().get(longs)
    values = jvm.scala.runtime.ScalaRunTime.wrapLongArray(longs)
    return jvm.org.apache.spark.sql.delta.deletionvectors.RoaringBitmapArray.apply(values)


def _module(package: Any, name: str) -> Any:
    """A Scala object by its name."""
    return getattr(getattr(package, f"{name}$"), "MODULE$")


def _drift(folder: Any, why: str) -> TableDrift:
    return TableDrift(
        "the table's rows are not where its only writer saw them",
        where=str(folder.getName()),
        why=why,
        fix=TableDrift.way_out,
    )
