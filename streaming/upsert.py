"""Step 8 for upsert and cdc contracts: newest wins by (sequence, event id); of equal ones the first in raw's order.

An applied record replaces its key's row, a delete included: the row stays with `_deleted_at`, so a late update cannot
bring the key back. Of cdc contracts, a truncate is newer or older than a record like a delete of its key would be. The
final state does not depend on batch boundaries or on the order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import column_of, silver_columns
from streaming import truncates
from streaming.held import held
from streaming.silver import SilverTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SUPERSEDED = "superseded"


@contextmanager
def classified(
    session: SparkSession,
    rows: DataFrame,
    silver: SilverTable,
    contract: Contract,
    files: Sequence[str] | None = None,
) -> Iterator[DataFrame]:
    """Rows with `_state` (applied, duplicate, superseded; null where there is a `_code`) and `_there` (the place of the
    key's row, `_file` and `_at`; null when it has none). What took long to find out is kept within the block.

    `duplicate` is the event id of the row met or of a preferred record of the same rows; else an older one is
    `superseded`. At most one row of each key is applied. `_swept` marks the rows of a key whose newest change, silver's
    row included, is older than a truncate; `_cut` is that truncate's place in the order, or null. With `files`, the
    keys' rows are in these.
    """
    keys = _Keys(contract)
    if not truncates.sweeps(contract):
        there = _there(session, rows, silver, contract, keys, files=files)
        with held(_met(rows, there, keys)) as met:
            yield _stated(_beside(rows, met, keys), "")
        return
    there = _there(session, rows, silver, contract, keys, also=(column_of(contract, contract.tenant), truncates.OP))
    beside = _beside(rows, _met(rows, there.where("_met"), keys), keys)
    with held(_stated(_swept(beside, rows, there, contract, keys), " AND (_cut IS NULL OR _now > _cut)")) as out:
        yield out


class _Keys:
    """A contract's key, event id and sequence: their columns of silver, and the names that the key has on the way."""

    def __init__(self, contract: Contract) -> None:
        self.columns = [column_of(contract, name) for name in contract.key]
        self.event_id = column_of(contract, contract.event_id)
        self.order = [column_of(contract, name) for name in contract.sequence]
        self.ids = [f"_k{i}" for i in range(len(self.columns))]

    def named(self) -> list[Column]:
        from pyspark.sql import functions as F

        return [F.col(f"`{name}`").alias(alias) for name, alias in zip(self.columns, self.ids, strict=True)]

    def newness(self) -> Column:
        return truncates.newness(self.order, self.event_id)

    def rank(self) -> Column:
        """A struct whose greatest is the newest record: sequence, event id, then the earliest place in raw."""
        from pyspark.sql import functions as F

        place = F.expr("named_struct('b', -_batch, 'p', -_partition, 'o', -_offset)")
        sequence = F.struct(*[F.col(f"`{name}`") for name in self.order])
        return F.struct(sequence.alias("s"), F.col(f"`{self.event_id}`").alias("e"), place.alias("place"))


def _there(
    session: SparkSession,
    rows: DataFrame,
    silver: SilverTable,
    contract: Contract,
    keys: _Keys,
    also: Sequence[str] = (),
    files: Sequence[str] | None = None,
) -> DataFrame:
    """Silver's rows of the keys among `rows`: key, `_e`, `_prior` (newness) and `_there`. With `also`, tenant and
    operation, those whose key is `_met` and, by the same look, the truncates that are remembered."""
    from pyspark.sql import functions as F

    types = {column.name: column.spark_type for column in silver_columns(contract)}
    wanted = [(name, types[name]) for name in dict.fromkeys((*keys.columns, keys.event_id, *keys.order, *also))]
    place = F.struct("_file", "_at").alias("_there")
    found = silver.placed(session, wanted, files)
    mine = rows.where("_code IS NULL").select(*keys.named())
    told = [*keys.named(), F.col(f"`{keys.event_id}`").alias("_e"), keys.newness().alias("_prior"), place]
    if not also:
        return found.select(*told).join(F.broadcast(mine), keys.ids, "left_semi")
    marked = [F.col(f"`{also[0]}`").alias("_t"), F.expr(truncates.IS_TRUNCATE).alias("_truncates")]
    met = F.broadcast(mine.distinct().withColumn("_met", F.lit(True)))
    return found.select(*told, *marked).join(met, keys.ids, "left").where("_met OR _truncates")


def _met(rows: DataFrame, there: DataFrame, keys: _Keys) -> DataFrame:
    """One row for each key among `rows`: `_best` is the rank of its newest record, `_copies` has the preferred one
    (`e`, `rank`) of each event id that is there more than once; `_prior` and `_there` are those of silver's row."""
    from pyspark.sql import functions as F

    fine = rows.where("_code IS NULL").select(
        *keys.named(), F.col(f"`{keys.event_id}`").alias("_e"), keys.rank().alias("_rank")
    )
    both = fine.unionByName(there.select(*keys.ids, "_e", "_prior", "_there"), allowMissingColumns=True)
    # A key has one row in silver at most: its place is the only one there is.
    rest = [F.max(name).alias(name) for name in ("_prior", "_there")]
    of_event = (
        both.repartition(*keys.ids)
        .groupBy(*keys.ids, "_e")
        .agg(F.count("_rank").alias("_n"), F.max("_rank").alias("_rank"), *rest)
    )
    copies = F.collect_list(F.when(F.col("_n") > 1, F.struct(F.col("_e").alias("e"), F.col("_rank").alias("rank"))))
    return of_event.groupBy(*keys.ids).agg(F.max("_rank").alias("_best"), copies.alias("_copies"), *rest)


def _beside(rows: DataFrame, met: DataFrame, keys: _Keys) -> DataFrame:
    """Rows, each with its own rank (`_mine`), newness (`_now`) and what is known of its key."""
    from pyspark.sql import functions as F

    pairs = zip(keys.columns, keys.ids, strict=True)
    same = reduce(lambda a, b: a & b, [F.col(f"`{key}`") == F.col(i) for key, i in pairs])
    ranked = rows.withColumn("_mine", keys.rank()).withColumn("_now", keys.newness())
    return ranked.join(F.broadcast(met), same & F.col("_code").isNull(), "left").drop(*keys.ids)


def _swept(beside: DataFrame, rows: DataFrame, there: DataFrame, contract: Contract, keys: _Keys) -> DataFrame:
    """Rows with `_cut`, the newest truncate of their tenant, and `_swept`."""
    from pyspark.sql import functions as F

    tenant, truncated = column_of(contract, contract.tenant), F.expr(truncates.IS_TRUNCATE)
    new = (
        rows.where("_code IS NULL")
        .where(truncated)
        .select(F.col(f"`{tenant}`").alias("_t"), keys.newness().alias("_cut"))
    )
    old = there.where("_truncates").select("_t", F.col("_prior").alias("_cut"))
    cuts = new.unionByName(old).groupBy("_t").agg(F.max("_cut").alias("_cut"))
    joined = beside.join(F.broadcast(cuts), F.col("_t") == F.col(f"`{tenant}`"), "left").drop("_t")
    joined = joined.withColumn("_cut", F.when(~truncated & F.col("_code").isNull(), F.col("_cut")))
    best = "named_struct('s', _best.s, 'e', _best.e)"
    removed = f"_cut IS NOT NULL AND _cut > {best} AND (_prior IS NULL OR _cut > _prior)"
    return joined.withColumn("_swept", F.expr(f"coalesce({removed}, false)"))


def _stated(beside: DataFrame, uncut: str) -> DataFrame:
    from pyspark.sql import functions as F

    newer = f"((_prior IS NULL OR _now > _prior){uncut})"
    state = (
        "CASE WHEN _code IS NOT NULL THEN NULL "
        "WHEN exists(_copies, c -> c.e = _now.e AND c.rank <> _mine) THEN 'duplicate' "
        f"WHEN _prior.e = _now.e AND NOT {newer} THEN 'duplicate' "
        f"WHEN _mine = _best AND {newer} THEN 'applied' "
        f"ELSE '{SUPERSEDED}' END"
    )
    return beside.withColumn("_state", F.expr(state)).drop("_mine", "_now", "_best", "_copies", "_prior")
