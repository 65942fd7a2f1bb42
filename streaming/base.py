"""Where a rebuild begins that does not begin at raw's first batch: at an older version of the live table.

Silver's commits say which raw batches a version covers, so the version that covered all before a batch is known, as are
the ledger's sums and what was parked then. What was decided after it is decided again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltalake import DeltaTable

from caudal.lake import Lake
from caudal.query import Query, text
from schemas.contract import Contract
from schemas.tables import Column, silver_columns
from streaming import tables
from streaming.commit import Txn, append
from streaming.errors import IdentityDrift, VersionGone
from streaming.facts import Parked, silver_commit
from streaming.positions import commits
from streaming.suppress import suppressed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# How Spark and Delta say it: names of conditions and classes, and the one text that has no name.
_MISSING = (
    "FILE_NOT_EXIST", "FILE_NOT_FOUND", "FileNotFound", "NoSuchKey", "VERSION_NOT_FOUND", "CANNOT_RESTORE_TABLE",
    "Not all files from version",
)  # fmt: skip


@dataclass(frozen=True)
class Base:
    """A version of the live table: it covers raw up to batch `covered`, of which `parked` records waited then."""

    version: int
    covered: int
    parked: tuple[Parked, ...]


def find(lake: Lake, contract: Contract, first: int) -> Base:
    """The newest version that covers nothing of raw batch `first` and later. The ledger must be flushed.

    Raises VersionGone when the table's log does not tell it any more; IdentityDrift when its rows were told apart in
    another way than the contract says now.
    """
    opened = DeltaTable(lake.table("silver", contract.table), storage_options=lake.storage_options or None)
    version, covered = _before(lake, contract, opened.version(), first)
    try:
        opened.load_as_version(version)
    except Exception as error:
        raise gone(contract, version, type(error).__name__) from error
    made, now = opened.metadata().configuration.get(tables.IDENTITY), tables.identity(contract)
    if made not in (None, now):
        raise IdentityDrift(
            "the table was made for another mode, key or sequence then",
            where=f"silver/{contract.table}, version {version}",
            why=f"made for {made}; the contract says {now}",
            fix=f"caudal rebuild silver {contract.id}",
        )
    return Base(version, covered, tuple(_parked(lake, contract, version)))


def sums(lake: Lake, contract: Contract, names: Sequence[str], where: str = "true") -> dict[str, int]:
    """Sums of the ledger's counts of a contract, of its lines for which `where` (SQL) is true."""
    query = Query(lake)
    query.table("ledger", *tables.LEDGER)
    listed = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in names)
    [row] = query.rows(f"SELECT {listed} FROM ledger WHERE contract = {text(contract.id)} AND {where}")
    return {name: int(row[name]) for name in names}


def copy(
    session: SparkSession,
    live: str,
    contract: Contract,
    version: int,
    where: str,
    to: str,
    txn: Txn,
    erased: DataFrame | None,
) -> None:
    """Bring rows of a version into the table at `to`; people erased since are not brought back.

    Raises VersionGone when its files were vacuumed.
    """
    from pyspark.sql import functions as F

    wanted = silver_columns(contract)
    try:
        there = session.read.format("delta").option("versionAsOf", version).load(live).where(where)
        rows = fitted(there, wanted)
        if erased is not None:
            rows = suppressed(rows.withColumn("_was", F.col("_suppressed")), contract, erased)
            rows = rows.withColumn("_suppressed", F.expr("_suppressed OR coalesce(_was, false)")).drop("_was")
        append(rows.select(*[F.col(f"`{column.name}`") for column in wanted]), to, txn)
    except Exception as error:
        if missing(error):
            raise gone(contract, version, "its files were vacuumed") from error
        raise


def fitted(rows: DataFrame, wanted: Sequence[Column]) -> DataFrame:
    """Exactly these columns; those that the rows lack are null."""
    from pyspark.sql import functions as F

    there = set(rows.columns)
    return rows.select(
        *[
            F.col(f"`{c.name}`") if c.name in there else F.lit(None).cast(c.spark_type).alias(c.name)
            for c in wanted
        ]
    )  # fmt: skip


def missing(error: Exception) -> bool:
    """Whether Spark says that files of a version are not there."""
    return any(sign in str(error) for sign in _MISSING)


def gone(contract: Contract, version: int | None, why: str) -> VersionGone:
    """The error for a version that is not there any more."""
    return VersionGone(
        "the table's version is gone",
        where=f"silver/{contract.table}" + ("" if version is None else f", version {version}"),
        why=why,
        fix=f"choose a later one, or make all of it anew: caudal rebuild silver {contract.id}",
    )


def _before(lake: Lake, contract: Contract, newest: int, first: int) -> tuple[int, int]:
    """The newest living version whose facts end before raw batch `first`, and where they end."""
    oldest = newest
    for version, entry, undone in commits(lake, contract.table, newest):
        oldest = version
        facts = silver_commit(entry.get("userMetadata"))
        if facts is not None and not undone and facts.upto < first:
            return version, facts.upto
    if oldest == 0:
        return 0, 0
    raise gone(contract, None, f"the log begins at version {oldest}, after raw batch {first}")


def _parked(lake: Lake, contract: Contract, version: int) -> Iterator[Parked]:
    query = Query(lake)
    query.table("parked", *tables.PARKED)
    rows = query.rows(
        "SELECT first_batch, batch, schema_id, sum(records) AS n FROM (SELECT DISTINCT first_batch, batch, schema_id, "
        f"records, silver_version FROM parked WHERE contract = {text(contract.id)} AND silver_version <= {version}) "
        "GROUP BY first_batch, batch, schema_id HAVING sum(records) > 0 ORDER BY batch, schema_id"
    )
    for row in rows:
        yield Parked(contract.id, row["first_batch"], row["batch"], row["schema_id"], int(row["n"]))
