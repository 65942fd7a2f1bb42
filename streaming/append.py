"""Step 8 for append contracts: two records are one event when tenant and event id are equal and their event times
differ by at most the lateness. The first in raw's order is applied; a copy is a duplicate, or a conflict when it says
something else.

Only silver rows in the reach of the batch's event times are looked at. Late records have a reach of their own, so one
from long ago does not widen everybody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import column_of
from streaming.silver import SilverTable, Window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

APPLIED, DUPLICATE, CONFLICT = "applied", "duplicate", "conflict"


@dataclass(frozen=True)
class Span:
    """Event times of some records: first and last, epoch milliseconds."""

    first_ms: int
    last_ms: int


def seen(
    session: SparkSession, rows: DataFrame, silver: SilverTable, contract: Contract, spans: Sequence[Span]
) -> DataFrame:
    """Ids (`_t`, `_e`) that fine rows have and that are there more than once, in silver or among the rows, with those
    of their records that count as applied (`_seen`).

    Batch boundaries do not matter: the outcome is that of going through the records one by one in raw's order.
    """
    from pyspark.sql import functions as F

    names = {role: column_of(contract, field) for role, field in _roles(contract).items()}
    reach = int(contract.lateness / timedelta(milliseconds=1))
    fine = rows.where("_code IS NULL").select(
        F.col(names["tenant"]).alias("_t"),
        F.col(names["event_id"]).alias("_e"),
        F.struct(
            F.expr("named_struct('b', _batch, 'p', _partition, 'o', _offset)").alias("place"),
            F.unix_millis(F.col(names["event_time"])).alias("ms"),
            F.col("_digest").alias("digest"),
        ).alias("_rec"),
    )
    prior = _prior(session, silver, names, spans, reach, fine)
    # Ids that stand alone are the common case, and need no further thought.
    several = (
        fine.unionByName(prior).groupBy("_t", "_e").agg(F.collect_list("_rec").alias("_all")).where("size(_all) > 1")
    )
    return several.select("_t", "_e", F.expr(_fold(reach)).alias("_seen"))


def classified(rows: DataFrame, seen: DataFrame, contract: Contract) -> DataFrame:
    """Rows with `_state`: applied, duplicate or conflict for fine ones, null for those that have a `_code`."""
    from pyspark.sql import functions as F

    names = {role: column_of(contract, field) for role, field in _roles(contract).items()}
    reach = int(contract.lateness / timedelta(milliseconds=1))
    joined = rows.join(
        F.broadcast(seen),
        (F.col("_t") == F.col(names["tenant"])) & (F.col("_e") == F.col(names["event_id"])) & F.col("_code").isNull(),
        "left",
    )
    return joined.withColumn("_state", F.expr(_state(names["event_time"], reach))).drop("_t", "_e", "_seen")


def _roles(contract: Contract) -> dict[str, str]:
    return {"tenant": contract.tenant, "event_id": contract.event_id, "event_time": contract.event_time}


def _prior(
    session: SparkSession,
    silver: SilverTable,
    names: dict[str, str],
    spans: Sequence[Span],
    reach: int,
    fine: DataFrame,
) -> DataFrame:
    """Applied rows within reach whose ids are among `fine`; their places are null."""
    from pyspark.sql import functions as F

    tenant, event_id, time = names["tenant"], names["event_id"], names["event_time"]
    window = Window(time, [(span.first_ms - reach, span.last_ms + reach) for span in spans])
    columns = [(tenant, "STRING"), (event_id, "STRING"), (time, "TIMESTAMP"), ("_digest", "STRING")]
    within = " OR ".join(
        f"(`{time}` >= timestamp_millis({first}) AND `{time}` <= timestamp_millis({last}))"
        for first, last in window.spans
    )
    return (
        silver.rows(session, columns, window)
        .where(within or "false")
        .select(
            F.col(tenant).alias("_t"),
            F.col(event_id).alias("_e"),
            F.expr(
                "named_struct('place', CAST(NULL AS STRUCT<b: BIGINT, p: INT, o: BIGINT>), "
                f"'ms', unix_millis(`{time}`), 'digest', _digest)"
            ).alias("_rec"),
        )
        .join(F.broadcast(fine.select("_t", "_e").distinct()), ["_t", "_e"], "left_semi")
    )


def _fold(reach: int) -> str:
    """What is applied for one id: what silver has (it sorts first, its place being null), then, in raw's order, each
    copy that is near none before it."""
    nothing = "CAST(array() AS ARRAY<STRUCT<place: STRUCT<b: BIGINT, p: INT, o: BIGINT>, ms: BIGINT, digest: STRING>>)"
    near = f"exists(acc, a -> abs(a.ms - r.ms) <= {reach})"
    return (
        f"aggregate(sort_array(_all), {nothing}, "
        f"(acc, r) -> CASE WHEN r.place IS NOT NULL AND {near} THEN acc ELSE concat(acc, array(r)) END)"
    )


def _state(event_time: str, reach: int) -> str:
    near = f"abs(a.ms - unix_millis(`{event_time}`)) <= {reach}"
    mine = "a.place = named_struct('b', _batch, 'p', _partition, 'o', _offset)"
    return (
        "CASE WHEN _code IS NOT NULL THEN NULL "
        f"WHEN _seen IS NULL OR coalesce(exists(_seen, a -> a.place IS NOT NULL AND {mine}), false) "
        f"OR NOT exists(_seen, a -> {near}) THEN '{APPLIED}' "
        f"WHEN exists(_seen, a -> {near} AND a.digest = _digest) THEN '{DUPLICATE}' "
        f"ELSE '{CONFLICT}' END"
    )
