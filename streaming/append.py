"""Step 8 for append contracts: two records are one event when tenant and event id are equal and their event times
differ by at most the lateness. The first in raw's order is applied; a copy is a duplicate, or a conflict when it says
something else.

Most records are new and most others plain copies, which is known at once (`ids`). Only the rest is gone through, with
the rows of silver that they may be copies of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import Contract
from schemas.rule_spark import quoted
from schemas.tables import Column, column_of, silver_columns
from streaming.ids import Ids, Suspects, hashed, merged_around
from streaming.keys import landed_at
from streaming.measure import Judged, Looked
from streaming.silver import SilverTable, Window

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame, SparkSession

APPLIED, DUPLICATE, CONFLICT = "applied", "duplicate", "conflict"
_PLACE = "STRUCT<b: BIGINT, p: INT, o: BIGINT>"
_NOBODY = pa.table({
    "partition": pa.array([], pa.int32()), "offset": pa.array([], pa.int64()), "state": pa.array([], pa.string()),
    "late": pa.array([], pa.bool_()), "suppressed": pa.array([], pa.bool_()),
})  # fmt: skip


def left_out(
    session: SparkSession, rows: DataFrame, looked: Looked, silver: SilverTable, contract: Contract, known: Ids | None
) -> pa.Table:
    """Fine rows that are not applied: `partition`, `offset`, `state` (duplicate or conflict), `late`, `suppressed`.

    Batch boundaries do not matter: the outcome is that of going through the records one by one in raw's order. With
    nothing known of silver, all records are looked into.
    """
    records, reach = looked.records, int(contract.lateness / timedelta(milliseconds=1))
    if known is None:
        return _looked_into(session, rows, silver, contract, Suspects(None, merged_around(records.ms, reach)))
    known.advance(session, silver, contract, records.ms)
    copies, among = known.compare(records, reach)
    certain = looked.fine.filter(pa.array(copies)).select(["partition", "offset", "late", "suppressed"])
    certain = certain.append_column("state", pa.repeat(pa.scalar(DUPLICATE), len(certain))).select(_NOBODY.column_names)
    certain = certain.cast(_NOBODY.schema)
    return pa.concat_tables([certain, _looked_into(session, rows, silver, contract, among)])


def remember(looked: Looked, left: pa.Table, known: Ids | None, version: int) -> None:
    """The records that are not left out are rows now, by the commit `version`."""
    if known is not None:
        left_at = landed_at(left["partition"], left["offset"])
        known.add(looked.records.where(~np.isin(looked.places, left_at)), version)


def _looked_into(
    session: SparkSession, rows: DataFrame, silver: SilverTable, contract: Contract, among: Suspects
) -> pa.Table:
    """What `left_out` gives, of these records."""
    from pyspark.sql import functions as F

    if among.ids is not None and not len(among.ids):
        return _NOBODY
    names = {role: column_of(contract, field) for role, field in _roles(contract).items()}
    reach = int(contract.lateness / timedelta(milliseconds=1))
    fine = rows.where("_code IS NULL")
    if among.ids is None:
        suspected = fine.select(F.col(names["tenant"]).alias("_t"), F.col(names["event_id"]).alias("_e")).distinct()
        same = (F.col("_t") == F.col(names["tenant"])) & (F.col("_e") == F.col(names["event_id"]))
    else:
        suspected = session.createDataFrame(pa.table({"_h": among.ids}))
        same = hashed(names["tenant"], names["event_id"]) == F.col("_h")
        fine = fine.join(F.broadcast(suspected), same, "left_semi")
    mine = fine.select(
        F.col(names["tenant"]).alias("_t"),
        F.col(names["event_id"]).alias("_e"),
        F.struct(
            F.expr("named_struct('b', _batch, 'p', _partition, 'o', _offset)").alias("place"),
            F.unix_millis(F.col(names["event_time"])).alias("ms"),
            F.expr(_digest(contract)).alias("digest"),
            F.col("_late").alias("late"),
            F.col("_suppressed").alias("suppressed"),
        ).alias("_rec"),
    )
    if among.spans:
        met = _met(session, silver, contract, among.spans).join(F.broadcast(suspected), same, "left_semi")
        mine = mine.unionByName(met.select(*_applied(contract)))
    several = mine.groupBy("_t", "_e").agg(F.collect_list("_rec").alias("_all")).where("size(_all) > 1")
    seen = several.select("_all", F.expr(_fold(reach)).alias("_seen"))
    told = seen.select(F.explode(F.expr(_told(reach))).alias("r"))
    place = F.col("r.place.p").alias("partition"), F.col("r.place.o").alias("offset")
    return told.select(*place, "r.state", "r.late", "r.suppressed").toArrow().cast(_NOBODY.schema)


def classified(session: SparkSession, rows: DataFrame, left: pa.Table) -> DataFrame:
    """Rows with `_state`: applied, duplicate or conflict for fine ones, null for those that have a `_code`."""
    from pyspark.sql import functions as F

    if not len(left):
        return rows.withColumn("_state", F.expr(f"CASE WHEN _code IS NULL THEN '{APPLIED}' END"))
    # A contract may have fields of the plain names.
    others = session.createDataFrame(left.select(["partition", "offset", "state"]).rename_columns(["_p", "_o", "_s"]))
    state = F.expr(f"CASE WHEN _code IS NULL THEN coalesce(_s, '{APPLIED}') END")
    same = (F.col("_partition") == F.col("_p")) & (F.col("_offset") == F.col("_o"))
    joined = rows.join(F.broadcast(others), same, "left")
    return joined.select(*rows.columns, state.alias("_state"))


def judged(looked: Looked, left: pa.Table) -> Judged:
    """The counts of a slice of which these rows are left out."""
    states = Counter({one["values"]: one["counts"] for one in left["state"].value_counts().to_pylist()})
    states[APPLIED] = len(looked.fine) - len(left)
    late, suppressed = (_true(looked.fine, name) - _true(left, name) for name in ("late", "suppressed"))
    return Judged(+states, late, suppressed)


def _true(table: pa.Table, name: str) -> int:
    return int(pc.sum(table[name]).as_py() or 0)


def _roles(contract: Contract) -> dict[str, str]:
    return {"tenant": contract.tenant, "event_id": contract.event_id, "event_time": contract.event_time}


def _met(session: SparkSession, silver: SilverTable, contract: Contract, spans: Sequence[tuple[int, int]]) -> DataFrame:
    """Fields of silver's rows of these event times."""
    time = column_of(contract, contract.event_time)
    within = " OR ".join(
        f"(`{time}` >= timestamp_millis({first}) AND `{time}` < timestamp_millis({last + 1}))" for first, last in spans
    )
    columns = [(column.name, column.spark_type) for column in _fields(contract)]
    return silver.rows(session, columns, Window(time, spans)).where(within)


def _applied(contract: Contract) -> list[SparkColumn]:
    """Of silver's rows, what tells them from copies: their places are null."""
    from pyspark.sql import functions as F

    names = {role: column_of(contract, field) for role, field in _roles(contract).items()}
    # What a row says is in its fields; a digest beside them would have to be made and kept for every row.
    told = f"'digest', {_digest(contract)}, 'late', CAST(NULL AS BOOLEAN), 'suppressed', CAST(NULL AS BOOLEAN)"
    record = f"named_struct('place', CAST(NULL AS {_PLACE}), 'ms', unix_millis(`{names['event_time']}`), {told})"
    return [F.col(names["tenant"]).alias("_t"), F.col(names["event_id"]).alias("_e"), F.expr(record).alias("_rec")]


def _fields(contract: Contract) -> list[Column]:
    return [column for column in silver_columns(contract) if column.role == "field" and column.live]


def _digest(contract: Contract) -> str:
    """SHA-256 of the fields without origin, masks, tokens and refs. Null fields count as absent, so that a later
    version that only adds nullable fields leaves the digest of an old record as it is."""
    parts = []
    for column in _fields(contract):
        name = quoted(column.name)
        # Entries that hold maps themselves have no order.
        plain_map = column.spark_type.startswith("MAP<") and column.spark_type.count("MAP<") == 1
        value = f"array_sort(map_entries({name}))" if plain_map else name
        parts.append(f"'{column.name}', {value}")
    return f"sha2(to_json(named_struct({', '.join(parts)})), 256)"


def _fold(reach: int) -> str:
    """What is applied for one id: what silver has (it sorts first, its place being null), then, in raw's order, each
    copy that is near none before it."""
    nothing = "filter(_all, r -> false)"
    near = f"exists(acc, a -> abs(a.ms - r.ms) <= {reach})"
    return (
        f"aggregate(sort_array(_all), {nothing}, "
        f"(acc, r) -> CASE WHEN r.place IS NOT NULL AND {near} THEN acc ELSE concat(acc, array(r)) END)"
    )


def _told(reach: int) -> str:
    """Of one id, the records that are not applied, with their state; `_seen` are those that are."""
    near = f"exists(_seen, a -> abs(a.ms - r.ms) <= {reach}"
    state = f"CASE WHEN {near} AND a.digest = r.digest) THEN '{DUPLICATE}' ELSE '{CONFLICT}' END"
    told = f"named_struct('place', r.place, 'state', {state}, 'late', r.late, 'suppressed', r.suppressed)"
    applied = "exists(_seen, a -> a.place IS NOT NULL AND a.place = r.place)"
    return f"transform(filter(_all, r -> r.place IS NOT NULL AND NOT {applied}), r -> {told})"
