"""Step 8 for upsert and cdc contracts: newest wins by (sequence, event id); of equal ones the first in raw's order.

An applied record replaces its key's row, a delete included: the row stays with `_deleted_at`, so a late update cannot
bring the key back. Of cdc contracts, a truncate is newer or older than a record like a delete of its key would be. The
final state does not depend on batch boundaries or on the order of arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import column_of, silver_columns
from streaming import truncates
from streaming.silver import SilverTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SUPERSEDED = "superseded"


def classified(session: SparkSession, rows: DataFrame, silver: SilverTable, contract: Contract) -> DataFrame:
    """Rows with `_state` (applied, duplicate, superseded; null where there is a `_code`) and `_there` (the place of the
    key's row, `_file` and `_at`; null when it has none).

    `duplicate` is the event id of the row met or of a preferred record of the same rows; else an older one is
    `superseded`. At most one row of each key is applied. `_swept` marks the rows of a key whose newest change, silver's
    row included, is older than a truncate; `_cut` is that truncate's place in the order, or null.
    """
    from pyspark.sql import functions as F

    keys = [column_of(contract, name) for name in contract.key]
    event_id = column_of(contract, contract.event_id)
    order = [column_of(contract, name) for name in contract.sequence]
    ours = [F.col(f"`{name}`").alias(f"_k{i}") for i, name in enumerate(keys)]
    ids = [f"_k{i}" for i in range(len(keys))]

    cdc = truncates.sweeps(contract)
    tenant = column_of(contract, contract.tenant)
    truncated = F.expr(truncates.IS_TRUNCATE) if cdc else F.lit(False)
    mine = [F.col(f"`{tenant}`").alias("_t"), truncated.alias("_truncates")]
    fine = rows.where("_code IS NULL").select(
        *ours, F.col(event_id).alias("_e"), _rank(order, event_id).alias("_rank"), *mine
    )
    copies = (
        fine.groupBy(*ids, "_e")
        .agg(F.max("_rank").alias("_first"), F.count("*").alias("_n"))
        .where("_n > 1")
        .drop("_n")
    )
    types = {column.name: column.spark_type for column in silver_columns(contract)}
    own = (tenant, truncates.OP) if cdc else ()
    wanted = [(name, types[name]) for name in dict.fromkeys((*keys, event_id, *order, *own))]
    place = F.struct("_file", "_at").alias("_there")
    there = silver.placed(session, wanted).select(
        *ours, truncates.newness(order, event_id).alias("_prior"), place, *(mine if cdc else [])
    )
    batch = F.broadcast(fine.select(*ids).distinct().withColumn("_met", F.lit(True)))
    if cdc:
        # One look finds both the rows met and the truncates that are remembered.
        there = there.join(batch, ids, "left").where("_met OR _truncates")
        prior = there.where("_met").select(*ids, "_prior", "_there")
    else:
        prior = there.join(batch, ids, "left_semi")
    both = fine.drop("_e", "_t", "_truncates").unionByName(prior, allowMissingColumns=True)
    # A key has one row at most: its place is the only one there is.
    best = F.max("_rank").alias("_best")
    seen = both.groupBy(*ids).agg(best, *[F.max(name).alias(name) for name in ("_prior", "_there")])
    joined = (
        rows.withColumn("_mine", _rank(order, event_id))
        .join(F.broadcast(seen), _same(keys, ids) & F.col("_code").isNull(), "left")
        .drop(*ids)
        .join(
            F.broadcast(copies),
            _same(keys, ids) & (F.col("_e") == F.col(event_id)) & F.col("_code").isNull(),
            "left",
        )
        .drop(*ids, "_e")
    )
    now = "named_struct('s', _mine.s, 'e', _mine.e)"
    newer = f"(_prior IS NULL OR {now} > _prior)"
    if cdc:
        new = F.expr("named_struct('s', _rank.s, 'e', _rank.e)").alias("_cut")
        marks = (
            fine.where("_truncates")
            .select("_t", new)
            .unionByName(there.where("_truncates").select("_t", F.col("_prior").alias("_cut")))
        )
        cuts = marks.groupBy("_t").agg(F.max("_cut").alias("_cut"))
        joined = joined.join(F.broadcast(cuts), F.col("_t") == F.col(f"`{tenant}`"), "left").drop("_t")
        joined = joined.withColumn("_cut", F.when(~truncated & F.col("_code").isNull(), F.col("_cut")))
        newer = f"({newer} AND (_cut IS NULL OR {now} > _cut))"
        latest = "named_struct('s', _best.s, 'e', _best.e)"
        removed = f"_cut IS NOT NULL AND _cut > {latest} AND (_prior IS NULL OR _cut > _prior)"
        joined = joined.withColumn("_swept", F.expr(f"coalesce({removed}, false)"))
    state = (
        "CASE WHEN _code IS NOT NULL THEN NULL "
        "WHEN _first IS NOT NULL AND _mine <> _first THEN 'duplicate' "
        f"WHEN _prior.e = _mine.e AND NOT {newer} THEN 'duplicate' "
        f"WHEN _mine = _best AND {newer} THEN 'applied' "
        f"ELSE '{SUPERSEDED}' END"
    )
    return joined.withColumn("_state", F.expr(state)).drop("_mine", "_best", "_first", "_prior")


def _rank(order: list[str], event_id: str) -> Column:
    """A struct whose greatest is the newest record: sequence, event id, then the earliest place in raw."""
    from pyspark.sql import functions as F

    place = F.expr("named_struct('b', -_batch, 'p', -_partition, 'o', -_offset)")
    return F.struct(_sequence(order).alias("s"), F.col(event_id).alias("e"), place.alias("place"))


def _sequence(order: list[str]) -> Column:
    from pyspark.sql import functions as F

    return F.struct(*[F.col(f"`{name}`") for name in order])


def _same(keys: list[str], ids: list[str]) -> Column:
    from functools import reduce

    from pyspark.sql import functions as F

    return reduce(lambda a, b: a & b, [F.col(f"`{key}`") == F.col(i) for key, i in zip(keys, ids, strict=True)])
