"""Rows made of partial updates: a null in a change means `unchanged` (AUTO CDC calls it ignore_null_updates).

A column's value is that of the newest change that set it after the key's newest delete or truncate. `_set_by` remembers
which change that was, so a change that arrives late fills what newer ones left out, and nothing else; the row does not
depend on the order of arrival.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import CHANGE_FIELDS, DELETED_AT, SET_BY, column_of, silver_columns
from streaming.silver import SilverTable
from streaming.truncates import IS_TRUNCATE, newness

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

_TOKENS = "_sealed"


def merged(session: SparkSession, rows: DataFrame, silver: SilverTable, contract: Contract) -> DataFrame:
    """One row (silver's columns without `_version`) for each key that classified `rows` change and no truncate removed.

    A superseded record counts too: it may set what newer ones left out.
    """
    from pyspark.sql import functions as F

    types = {column.name: column.spark_type for column in silver_columns(contract) if column.name != "_version"}
    keys = [column_of(contract, name) for name in contract.key]
    values = _values(contract)
    order = [column_of(contract, name) for name in contract.sequence]
    mine = newness(order, column_of(contract, contract.event_id))
    gone = F.when(F.col(DELETED_AT.name).isNotNull(), mine)
    cut = F.col("_cut") if "_cut" in rows.columns else F.lit(None).cast(_type(types))
    swept = "NOT _swept AND " if "_swept" in rows.columns else ""
    ours = rows.where(f"{swept}_state IN ('applied', 'superseded') AND NOT ({IS_TRUNCATE})").select(
        *types, mine.alias("_n"), F.greatest(gone, cut).alias("_base"), *[mine.alias(f"_by_{i}") for i in _r(values)]
    )
    before = (
        silver.rows(session, list(types.items()), None)
        .join(F.broadcast(ours.select(*keys).distinct()), keys, "left_semi")
        .select(
            *types,
            mine.alias("_n"),
            F.coalesce(F.col(SET_BY)[""], gone).alias("_base"),
            *[F.coalesce(F.col(SET_BY)[name], mine).alias(f"_by_{i}") for i, name in enumerate(values)],
        )
    )
    both = before.unionByName(ours)
    bases = both.groupBy(*keys).agg(F.max("_base").alias("_base"))
    known = both.drop("_base").join(bases, keys)
    after = [(F.col("_base").isNull() | (F.col(f"_by_{i}") > F.col("_base"))) for i in _r(values)]
    folded = known.groupBy(*keys).agg(
        F.max("_base").alias("_base"),
        F.max_by(F.struct("_n", *[F.col(f"`{name}`") for name in types if name not in keys]), "_n").alias("_newest"),
        *[
            F.max_by(
                F.struct(F.col(f"`{name}`").alias("v"), F.col(f"_by_{i}").alias("by"), _tokens(name).alias("t")),
                F.when(after[i] & F.col(f"`{name}`").isNotNull(), F.col(f"_by_{i}")),
            ).alias(f"_of_{i}")
            for i, name in enumerate(values)
        ],
    )
    return folded.select(*[_column(name, types[name], keys, values) for name in types])


def _column(name: str, kind: str, keys: list[str], values: list[str]) -> Column:
    from pyspark.sql import functions as F

    if name in keys:
        return F.col(f"`{name}`")
    if name in values:
        return F.col(f"_of_{values.index(name)}.v").alias(name)
    if name == _TOKENS:
        kept = [F.coalesce(F.col(f"_of_{i}.t"), F.create_map().cast(kind)) for i in _r(values)]
        return F.map_concat(*kept).alias(name)
    if name == SET_BY:
        older = [
            F.when(F.col(f"_of_{i}.by") < F.col("_newest._n"), _entry(value, F.col(f"_of_{i}.by")))
            for i, value in enumerate(values)
        ]
        base = F.when(F.col("_base").isNotNull(), _entry("", F.col("_base")))
        return F.map_from_entries(F.array_compact(F.array(base, *older))).cast(kind).alias(name)
    return F.col(f"_newest.`{name}`").alias(name)


def _entry(name: str, by: Column) -> Column:
    from pyspark.sql import functions as F

    return F.struct(F.lit(name).alias("key"), by.alias("value"))


def _tokens(name: str) -> Column:
    """The tokens that belong to a mask: those of its field, or of the items of its array."""
    from pyspark.sql import functions as F

    return F.map_filter(F.col(_TOKENS), lambda key, _: (key == name) | key.startswith(f"{name}["))


def _values(contract: Contract) -> list[str]:
    """Columns that a change may leave out: all but those that say which row and which change this is."""
    told = (*contract.key, contract.tenant, contract.event_id, contract.event_time, *contract.sequence)
    fixed = {*(column_of(contract, name) for name in told), *CHANGE_FIELDS}
    return [c.name for c in silver_columns(contract) if c.role in ("field", "mask", "ref") and c.name not in fixed]


def _type(types: dict[str, str]) -> str:
    return types[SET_BY].removeprefix("MAP<STRING, ").removesuffix(">")


def _r(values: list[str]) -> range:
    return range(len(values))
