"""What a changed contract would do to records that are there: the newest raw records judged under both forms.

The same native code judges them as when they came: decode by id, masks, rules. Duplicates are not looked for, since no
form of a contract changes which records are one event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from caudal.lake import Lake
from caudal.query import text
from schemas.contract import Contract
from streaming import jvm, registered, session, slices, tables
from streaming.decode import decoded
from streaming.held import held
from streaming.settings import StreamingSettings
from streaming.writers import Registered, Resolved, Writers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_PLACE = ["_topic", "_partition", "_offset", "_batch"]
# So many batches are looked back at for the newest records; kinds of outcome beyond these help nobody.
_BATCHES, _KINDS = 1000, 200
WAITS = "waits for its schema"


class _Nobody:
    """Only schemas that raw knows count: what was never read has no records."""

    def find(self, _: int) -> Registered | None:
        return None


def effect(
    spark: SparkSession, lake: Lake, before: Contract | None, after: Contract, own: StreamingSettings, records: int
) -> dict[str, Any]:
    """Of the newest `records` raw records: how many are refused now and would be, and what changes for how many.

    {records, refused_now, refused_then, changes: [{now, now_at, then, then_at, records}]}; null is fine.
    """
    from pyspark.sql import functions as F

    raw = spark.read.format("delta").load(lake.spark_table(*tables.RAW)).where(f"topic = {text(after.topic)}")
    total, first = 0, None
    for row in raw.groupBy("_batch").count().orderBy(F.desc("_batch")).limit(_BATCHES).collect():
        if total >= records:
            break
        total, first = total + row["count"], row["_batch"]
    if first is None:
        return {"records": 0, "refused_now": 0, "refused_then": 0, "changes": []}
    newest = raw.where(f"_batch >= {first}").orderBy(F.desc("_batch"), F.desc("offset"), "partition").limit(records)
    session.suit(spark, min(total, records), own)
    with held(newest) as rows:
        now = _judged(spark, lake, rows, before or after, own).toDF(*_PLACE, "now", "now_at")
        then = _judged(spark, lake, rows, after, own).toDF(*_PLACE, "then", "then_at")
        kinds = now.join(then, _PLACE).groupBy("now", "now_at", "then", "then_at").count().limit(_KINDS).collect()
    found = [{**row.asDict(), "records": row["count"]} for row in kinds]
    names = ("now", "now_at", "then", "then_at", "records")
    changes = [{name: one[name] for name in names} for one in found if one["now"] != one["then"]]
    return {
        "records": sum(one["records"] for one in found),
        "refused_now": sum(one["records"] for one in found if one["now"]),
        "refused_then": sum(one["records"] for one in found if one["then"]),
        "changes": sorted(changes, key=lambda one: -int(one["records"])),
    }


def _judged(spark: SparkSession, lake: Lake, rows: DataFrame, contract: Contract, own: StreamingSettings) -> DataFrame:
    """Coordinates, code and path of every row under this form of the contract."""
    from pyspark.sql import functions as F

    writers = Writers(_Nobody(), jvm.compatible(spark), registered.known(lake))
    ids = [row["schema_id"] for row in rows.select("schema_id").distinct().limit(1000).collect()]
    verdicts: Mapping[int, Resolved] = {i: writers.resolve(contract, i) for i in ids if i is not None}
    usable = [found.writer for found in verdicts.values() if found.verdict == "decodes" and found.writer is not None]
    read = rows.withColumn("_decoded", decoded(contract, usable))
    checked = slices.judgeable(read, contract, verdicts, own, None)
    waiting = [i for i, found in verdicts.items() if found.verdict == "waits"]
    code, path = F.col("_code"), F.col("_path")
    if waiting:
        waits = F.col("_schema_id").isin(waiting)
        code, path = F.when(waits, F.lit(WAITS)).otherwise(code), F.when(~waits, path)
    return checked.select(*_PLACE, code, path)
