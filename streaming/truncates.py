"""A truncate removes every row of its tenant that is older than it, also those whose records arrive later.

It stays in silver as a row of its own (`_op` is `t`, its key made of its event id), which is how it is remembered. A
row that it removed looks like one that a delete removed: its key, the truncate's sequence, event id and time, and
`_deleted_at`.
Where the tenant alone is the key, a truncate is the delete of that row, and nothing here is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import column_of, silver_columns
from streaming.silver import SilverTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

OP = "_op"
RESERVED = "__truncate__"
"""Begins the key of a truncate's own row; no other record may have it."""
IS_TRUNCATE = f"`{OP}` <=> 't'"


def sweeps(contract: Contract) -> bool:
    """Whether a truncate of this contract reaches other rows than its own."""
    return contract.mode == "cdc" and any(name != contract.tenant for name in contract.key)


def own_key(kind: str, event_id: Column) -> Column:
    """A key field of a truncate's row, of silver's type `kind`."""
    from pyspark.sql import functions as F

    if kind == "STRING":
        return F.concat(F.lit(RESERVED), event_id)
    return (-F.abs(F.xxhash64(event_id) / 2).cast("bigint")).cast(kind)


def newness(order: list[str], event_id: str) -> Column:
    """What decides between two records of a key: sequence, then event id."""
    from pyspark.sql import functions as F

    return F.struct(F.struct(*[F.col(f"`{name}`") for name in order]).alias("s"), F.col(f"`{event_id}`").alias("e"))


def swept(
    session: SparkSession, rows: DataFrame, silver: SilverTable, contract: Contract, truncated: bool
) -> DataFrame:
    """Silver rows (all columns) of keys that a truncate removed: of classified `rows` those marked `_swept`, and when
    one of them is an applied truncate (`truncated`), the older ones of its tenant in silver."""
    from pyspark.sql import functions as F

    types = {column.name: column.spark_type for column in silver_columns(contract)}
    names = [name for name in types if name != "_version"]
    keys = [column_of(contract, name) for name in contract.key]
    tenant, event_id = column_of(contract, contract.tenant), column_of(contract, contract.event_id)
    order = [column_of(contract, name) for name in contract.sequence]
    ours = rows.where(f"_state = 'applied' AND {IS_TRUNCATE}").select(*names)
    mine = rows.where("_swept").select(*keys).distinct()
    found = mine
    if truncated:
        cuts = ours.groupBy(F.col(tenant).alias("_t")).agg(F.max(newness(order, event_id)).alias("_cut"))
        slim = [(name, types[name]) for name in dict.fromkeys((*keys, tenant, event_id, *order, OP))]
        there = silver.rows(session, slim, None).where(f"NOT ({IS_TRUNCATE})")
        older = there.join(F.broadcast(cuts), F.col("_t") == F.col(f"`{tenant}`")).where(
            newness(order, event_id) < F.col("_cut")
        )
        batch = rows.where("_code IS NULL").select(*keys).distinct()
        # What the batch itself has of a key was compared with its truncates already.
        found = mine.unionByName(older.select(*keys).join(batch, keys, "left_anti"))
    marks = ours.unionByName(
        silver.rows(session, [(name, types[name]) for name in names], None).where(IS_TRUNCATE).select(*names)
    )
    newest = marks.groupBy(F.col(f"`{tenant}`").alias("_t")).agg(
        F.max_by(F.struct(*[F.col(f"`{name}`") for name in names]), newness(order, event_id)).alias("_mark")
    )
    tenants = F.broadcast(newest)
    return found.join(tenants, F.col("_t") == F.col(f"`{tenant}`")).select(
        *[_removed(contract, name, types[name], keys) for name in names]
    )


def _removed(contract: Contract, name: str, kind: str, keys: list[str]) -> Column:
    from pyspark.sql import functions as F

    told = [contract.tenant, contract.event_id, contract.event_time, *contract.sequence]
    fields = {column.name for column in silver_columns(contract) if column.role != "meta"}
    if name in keys:
        return F.col(f"`{name}`")
    if name in fields and name not in {column_of(contract, field) for field in told}:
        return F.lit(None).cast(kind).alias(name)
    return F.col(f"_mark.`{name}`").alias(name)


def reserved(contract: Contract) -> str:
    """SQL that is true for a record, not a truncate, whose key is one that truncates are kept under."""
    kinds = {column.name: column.spark_type for column in silver_columns(contract)}
    keys = [column_of(contract, name) for name in contract.key if name != contract.tenant]
    tests = [f"startswith(`{name}`, '{RESERVED}')" for name in keys if kinds[name] == "STRING"]
    return f"NOT ({IS_TRUNCATE}) AND ({' OR '.join(tests)})" if tests else "false"
