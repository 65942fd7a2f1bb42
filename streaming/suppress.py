"""Step 7: nothing of an erased person is written again: masks emptied, ref and tokens taken away, the row counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caudal.lake import Lake
from privacy.erased import erased_refs_path
from schemas import wire
from schemas.contract import Contract
from schemas.tables import silver_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def erased_refs(session: SparkSession, lake: Lake) -> DataFrame | None:
    """The erased list's distinct refs, or None when nobody was ever erased. Read anew for each batch: it can grow."""
    if not lake.has_table("ops", "erased_refs"):
        return None
    path = erased_refs_path(lake).replace("s3://", "s3a://", 1)
    return session.read.format("delta").load(path).select("subject_ref").distinct()


def suppressed(rows: DataFrame, contract: Contract, erased: DataFrame | None) -> DataFrame:
    """Rows of erased people with empty masks, no ref, no tokens, and `_suppressed` true; the others as they are."""
    from pyspark.sql import functions as F

    if erased is None:
        return rows
    hit = F.col("_erased").isNotNull()
    joined = rows.join(
        F.broadcast(erased.withColumnRenamed("subject_ref", "_erased")),
        F.col("_erased") == F.col(wire.SUBJECT_REF),
        "left",
    )
    emptied = {c.name for c in silver_columns(contract) if c.role in ("mask", "token", "ref")}
    columns = []
    for name in rows.columns:
        if name in emptied:
            columns.append(F.when(~hit, F.col(f"`{name}`")).alias(name))
        elif name == "_suppressed":
            columns.append(hit.alias(name))
        else:
            columns.append(F.col(f"`{name}`"))
    return joined.select(*columns)
