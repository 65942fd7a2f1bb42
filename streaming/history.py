"""`silver/<table>_history`: every change of every row, and when it held.

A pure function of the set of changes: in the order of (sequence, event id), a version holds until the next one of its
key or the next truncate of its tenant. A change that arrives late takes its place among the others, and only its
neighbour's end moves. Written before silver: when silver's commit says that a batch is done, its history is there;
what runs again finds its changes by key and event id and writes them no second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import DELETED_AT, HISTORY_META, column_of, history_columns
from streaming import truncates
from streaming.commit import Txn, append, close_versions
from streaming.held import held
from streaming.silver import SilverTable
from streaming.truncates import IS_TRUNCATE, newness

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


@dataclass(frozen=True)
class History:
    """Where a contract's history is."""

    table: SilverTable
    path: str
    txn: Txn


def write(session: SparkSession, rows: DataFrame, contract: Contract, target: History) -> None:
    """Put the changes among classified `rows` into the history: the applied and the superseded ones."""
    from pyspark.sql import functions as F

    version = target.table.version()
    kinds = {column.name: column.spark_type for column in history_columns(contract)}
    carried = [name for name in kinds if name not in {column.name for column in HISTORY_META}]
    keys = [column_of(contract, name) for name in contract.key]
    event_id = column_of(contract, contract.event_id)
    changes = rows.where("_state IN ('applied', 'superseded')").withColumn(
        "_version", F.lit(version + 1).cast("bigint")
    )
    there = target.table.rows(session, [(name, kinds[name]) for name in _slim(contract)], None)
    touched = changes.select(*keys).distinct()
    if truncates.sweeps(contract):
        tenant = column_of(contract, contract.tenant)
        tenants = F.broadcast(changes.where(IS_TRUNCATE).select(tenant).distinct())
        # A truncate may end any version of its tenant, and an older one the versions that arrive now.
        marks = there.where(IS_TRUNCATE).select(*keys)
        touched = touched.unionByName(there.join(tenants, tenant, "left_semi").select(*keys)).unionByName(marks)
        touched = touched.distinct()
    with held(there.join(touched, keys, "left_semi").withColumn("_new", F.lit(False))) as before:
        known = before.select(*keys, event_id)
        fresh = changes.join(known, [*keys, event_id], "left_anti")
        slim = fresh.select(*[F.col(name) for name in _slim(contract) if name in fresh.columns])
        lines = before.unionByName(slim.withColumn("_new", F.lit(True)), allowMissingColumns=True)
        with held(_ended(lines, contract)) as ends:
            moved = ends.where("NOT _new AND NOT (_valid_to <=> _was_to AND _current <=> _was_current)").select(
                *keys, event_id, "_valid_to", "_current"
            )
            whole = fresh.select(*carried).join(
                ends.where("_new").select(*keys, event_id, *[c.name for c in HISTORY_META]), [*keys, event_id]
            )
            out = whole.select(*kinds)
            if moved.isEmpty():
                append(out, target.path, target.txn)
            else:
                source = out.unionByName(moved, allowMissingColumns=True)
                close_versions(session, source, target.path, [*keys, event_id], target.txn)


def _ended(lines: DataFrame, contract: Contract) -> DataFrame:
    """Lines with `_valid_from`, `_valid_to`, `_current`; what was there as `_was_to` and `_was_current`."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = [column_of(contract, name) for name in contract.key]
    order = [column_of(contract, name) for name in contract.sequence]
    at = F.col(f"`{column_of(contract, contract.event_time)}`")
    mine = newness(order, column_of(contract, contract.event_id))
    place = F.struct(mine.alias("n"), at.alias("t"))
    found = (
        lines.withColumnsRenamed({"_valid_to": "_was_to", "_current": "_was_current"})
        .withColumn("_place", place)
        .withColumn("_next", F.lead("_place").over(Window.partitionBy(*keys).orderBy("_place")))
    )
    if truncates.sweeps(contract):
        tenant = column_of(contract, contract.tenant)
        cuts = found.where(IS_TRUNCATE).groupBy(tenant).agg(F.collect_list("_place").alias("_cuts"))
        found = found.join(F.broadcast(cuts), tenant, "left")
        cut = F.array_min(F.filter("_cuts", lambda c: c["n"] > F.col("_place")["n"]))
        # `least` passes nulls over: without a next version or truncate there is no end.
        found = found.withColumn("_next", F.when(~F.expr(IS_TRUNCATE), F.least("_next", cut)))
    gone = F.col(DELETED_AT.name).isNotNull()
    return (
        found.withColumn("_valid_from", at)
        .withColumn("_valid_to", F.when(gone, at).when(F.col("_next").isNotNull(), F.greatest(at, _time("_next"))))
        .withColumn("_current", ~gone & F.col("_next").isNull())
    )


def _time(name: str) -> Column:
    from pyspark.sql import functions as F

    return F.col(name)["t"]


def _slim(contract: Contract) -> list[str]:
    """The columns that decide when a version holds."""
    told = (*contract.key, contract.tenant, contract.event_id, contract.event_time, *contract.sequence)
    op = (truncates.OP,) if truncates.sweeps(contract) else ()
    return list(dict.fromkeys([*(column_of(contract, n) for n in told), *op, DELETED_AT.name, "_valid_to", "_current"]))
