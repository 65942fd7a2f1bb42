"""Step 10: writes to Delta that can run twice: each carries a transaction id, its facts travel in the commit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from delta.tables import DeltaTable
    from pyspark.sql import DataFrame, SparkSession

_SESSION = "spark.databricks.delta.write."
_VECTORS = "spark.databricks.delta.merge.deletionVectors.persistent"
_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


@dataclass(frozen=True)
class Txn:
    """Delta's idempotence key. A write whose (app, version) is already in the table's log does nothing.

    `app` is query/table/role/generation, the generation being the version of the last RESTORE: a restore does not undo
    transaction ids, so what comes after it needs new ones. `version` is the highest raw batch covered.
    """

    app: str
    version: int


def append(frame: DataFrame, path: str, txn: Txn, metadata: str = "") -> None:
    """Append rows of exactly the table's columns. An empty frame still commits its transaction and metadata."""
    writer = frame.write.format("delta").mode("append").option("txnAppId", txn.app).option("txnVersion", txn.version)
    if metadata:
        writer = writer.option("userMetadata", metadata)
    writer.save(path)


def replace_all(frame: DataFrame, path: str, txn: Txn, metadata: str = "") -> None:
    """Put these rows, of exactly the table's columns, in the place of all that are there."""
    writer = frame.write.format("delta").mode("overwrite").options(txnAppId=txn.app, txnVersion=txn.version)
    (writer.option("userMetadata", metadata) if metadata else writer).save(path)


def merge(session: SparkSession, source: DataFrame, path: str, keys: Sequence[str], txn: Txn, metadata: str) -> None:
    """Replace the rows of `source`'s keys and insert the others. `source` has one row for each key.

    The transaction id of a MERGE can only be a setting of its session, which is why every worker has one of its own.
    """
    from delta.tables import DeltaTable

    on = " AND ".join(f"t.`{key}` = s.`{key}`" for key in keys)
    table = DeltaTable.forPath(session, path)
    with _set(
        session,
        {f"{_SESSION}txnAppId": txn.app, f"{_SESSION}txnVersion": str(txn.version), _METADATA: metadata},
    ):
        (
            table.alias("t")
            .merge(_whole(source, table).alias("s"), on)
            .whenMatchedUpdateAll()
            .whenNotMatchedInsertAll()
            .execute()
        )


def delete_ranges(session: SparkSession, ranges: DataFrame, path: str, within: str, txn: Txn, rewrite: bool) -> None:
    """Delete raw's records in the ranges (topic, partition, _batch, first, last). `within` is SQL over `t` that bounds
    the files looked at. With `rewrite` their bytes are in none of the table's present files afterwards."""
    from delta.tables import DeltaTable

    same = " AND ".join(f"t.`{name}` = s.`{name}`" for name in ("topic", "partition", "_batch"))
    on = f"{same} AND t.`offset` >= s.`first` AND t.`offset` <= s.`last` AND {within}"
    once = {f"{_SESSION}txnAppId": txn.app, f"{_SESSION}txnVersion": str(txn.version)}
    with _set(session, {**once, _VECTORS: str(not rewrite).lower()}):
        DeltaTable.forPath(session, path).alias("t").merge(ranges.alias("s"), on).whenMatchedDelete().execute()


@contextmanager
def committing(session: SparkSession, metadata: str, txn: Txn | None = None) -> Iterator[None]:
    """Commits of SQL statements in the block carry this metadata, and are made once for this transaction id."""
    once = {f"{_SESSION}txnAppId": txn.app, f"{_SESSION}txnVersion": str(txn.version)} if txn else {}
    with _set(session, {_METADATA: metadata, **once}):
        yield


def _whole(source: DataFrame, table: DeltaTable) -> DataFrame:
    """The source with a null for each column that the contract no longer stores and the table still has."""
    from pyspark.sql import functions as F

    lacking = [f for f in table.toDF().schema if f.name not in source.columns]
    return source.select("*", *[F.lit(None).cast(f.dataType).alias(f.name) for f in lacking])


@contextmanager
def _set(session: SparkSession, conf: dict[str, str]) -> Iterator[None]:
    for key, value in conf.items():
        session.conf.set(key, value)
    try:
        yield
    finally:
        for key in conf:
            session.conf.unset(key)
