"""`silver/<table>_history`: every change of every row, and when it held.

A pure function of the set of changes: in the order of (sequence, event id), a version holds until the next one of its
key or the next truncate of its tenant. A change that arrives late takes its place among the others, and only its
neighbours move. Written before silver: when silver's commit says that a batch is done, its history is there;
what runs again finds its changes by key and event id and writes them no second time.

Where only some columns count (`track_history_column_list`), a version is a longest run of changes that leave these
equal: the run's newest change holds, from the time of its first one. The others stay, without a time, because a change
that arrives late may part a run again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import DELETED_AT, HISTORY_META, column_of, history_columns
from schemas.tracked import tracked_columns
from streaming import truncates
from streaming.commit import Txn
from streaming.held import held
from streaming.silver import SilverTable
from streaming.staged import Staged
from streaming.staged import stage as stage_rows
from streaming.truncates import IS_TRUNCATE, newness
from streaming.vectors import PLACE, Places

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


_TIMES = tuple(column.name for column in HISTORY_META)


@dataclass(frozen=True)
class History:
    """Where a contract's history is."""

    table: SilverTable
    path: str
    txn: Txn


def stage(session: SparkSession, rows: DataFrame, contract: Contract, target: History) -> Staged:
    """Write the changes among classified `rows`, the applied and the superseded ones, for the history's next commit."""
    from pyspark.sql import functions as F

    version = target.table.version()
    kinds = {column.name: column.spark_type for column in history_columns(contract)}
    carried = [name for name in kinds if name not in _TIMES]
    keys = [column_of(contract, name) for name in contract.key]
    event_id = column_of(contract, contract.event_id)
    changes = rows.where("_state IN ('applied', 'superseded')").withColumn(
        "_version", F.lit(version + 1).cast("bigint")
    )
    there = target.table.placed(session, [(name, kinds[name]) for name in _slim(contract)])
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
            same = " AND ".join(f"{name} <=> _was{name}" for name in _TIMES)
            moved = ends.where(f"NOT _new AND NOT ({same})")
            gone = moved.select(F.col("_file").alias("file"), F.col("_at").alias("at")).toArrow().cast(PLACE)
            new = ends.where("_new").select(*keys, event_id, *_TIMES)
            out = fresh.select(*carried).join(new, [*keys, event_id]).select(*kinds)
            if len(gone):
                whole = target.table.placed(session, [(name, kinds[name]) for name in carried])
                times = F.broadcast(moved.select("_file", "_at", *_TIMES))
                out = out.unionByName(whole.join(times, ["_file", "_at"]).select(*kinds))
            return stage_rows(out, target.path, target.txn, instead=Places(version, gone, target.table.files))


def _ended(lines: DataFrame, contract: Contract) -> DataFrame:
    """Lines with `_valid_from`, `_valid_to`, `_current`; what was there as `_was_valid_from` and so on."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    keys = [column_of(contract, name) for name in contract.key]
    order = [column_of(contract, name) for name in contract.sequence]
    at = F.col(f"`{column_of(contract, contract.event_time)}`")
    mine = newness(order, column_of(contract, contract.event_id))
    place = F.struct(mine.alias("n"), at.alias("t"))
    found = (
        lines.withColumnsRenamed({name: f"_was{name}" for name in _TIMES})
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
    found = found.withColumn("_valid_from", at)
    if tracked_columns(contract):
        found = _in_runs(found, contract, gone)
    start = F.col("_valid_from")
    times = found.withColumn(
        "_valid_to", F.when(gone, at).when(F.col("_next").isNotNull(), F.greatest(start, _time("_next")))
    ).withColumn("_current", ~gone & F.col("_next").isNull())
    if not tracked_columns(contract):
        return times
    return times.withColumns(
        {name: F.when(~F.col("_goes_on"), F.col(name)) for name in ("_valid_from", "_valid_to")}
        | {"_current": F.col("_current") & ~F.col("_goes_on")}
    )


def _in_runs(lines: DataFrame, contract: Contract, gone: Column) -> DataFrame:
    """Lines with `_goes_on` (the next change of the key leaves what counts as it is, and nothing ends this one before
    it) and with the time of their run's first change as `_valid_from`."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    mine = Window.partitionBy(*(column_of(contract, name) for name in contract.key)).orderBy("_place")
    following = [F.lead(name).over(mine).alias(name) for name in ("_counts", "_place", "_gone")]
    known = lines.withColumn("_counts", _told(contract)).withColumn("_gone", gone)
    after = known.withColumn("_after", F.struct(*following))
    # `_next` is another place than the key's next change when a truncate comes before that.
    goes_on = ~F.col("_gone") & ~F.col("_after._gone") & (F.col("_after._place") == F.col("_next"))
    goes_on = F.coalesce(goes_on & (F.col("_after._counts") == F.col("_counts")), F.lit(False))
    found = after.withColumn("_goes_on", goes_on)
    first = F.when(~F.coalesce(F.lag("_goes_on").over(mine), F.lit(False)), F.col("_valid_from"))
    found = found.withColumn("_first", first)
    began = F.last("_first", ignorenulls=True).over(mine.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    return found.withColumn("_valid_from", began).drop("_first", "_after", "_counts", "_gone")


def _told(contract: Contract) -> Column:
    """What counts of a change as one value: equal exactly when all its columns are."""
    from pyspark.sql import functions as F

    kinds = {column.name: column.spark_type for column in history_columns(contract)}
    parts = [
        F.expr(f"array_sort(map_entries(`{name}`))").alias(name)
        if kinds[name].startswith("MAP<")
        else F.col(f"`{name}`")
        for name in tracked_columns(contract)
    ]
    exact = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}
    return F.sha2(F.to_json(F.struct(*parts), exact), 256)


def _time(name: str) -> Column:
    from pyspark.sql import functions as F

    return F.col(name)["t"]


def _slim(contract: Contract) -> list[str]:
    """The columns that decide when a version holds, and when that was thought to be."""
    told = (*contract.key, contract.tenant, contract.event_id, contract.event_time, *contract.sequence)
    op = (truncates.OP,) if truncates.sweeps(contract) else ()
    fields = [column_of(contract, name) for name in told]
    return list(dict.fromkeys([*fields, *tracked_columns(contract), *op, DELETED_AT.name, *_TIMES]))
