"""What a slice tells about itself: counts of its rows before and after they are judged, and ages of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import Contract
from schemas.tables import column_of, silver_columns
from streaming.ids import Records, hashed, longs
from streaming.keys import Changes, hashes, knowable, landed_at
from streaming.runs import Longs
from streaming.truncates import IS_TRUNCATE
from streaming.vectors import PLACE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Quantiles of published_at: the age's P95 is the 5th percentile of the time.
_QUANTILES = (0.5, 0.05, 0.01)


@dataclass(frozen=True)
class Looked:
    """A few columns of each checked row, in raw's order. `rows` has code (null: fine), path, late, suppressed,
    published (epoch ms), batch, partition, offset, schema_id, version; for append contracts ms (event time, epoch), id
    (hash) and says (hash of its fields); for others, where keys are known, those of `keys.hashes`."""

    rows: pa.Table

    @cached_property
    def fine(self) -> pa.Table:
        """Rows without a code."""
        return self.rows.filter(self.rows["code"].is_null())

    @cached_property
    def codes(self) -> dict[str, int]:
        """Rows by code."""
        return {one["values"]: one["counts"] for one in self.rows["code"].drop_null().value_counts().to_pylist()}

    @cached_property
    def records(self) -> Records:
        """Fine rows of an append contract."""
        says = longs(self.fine, "says").astype(np.uint32)
        return Records(longs(self.fine, "id"), longs(self.fine, "ms"), says)

    @cached_property
    def places(self) -> Longs:
        """Where fine rows are in their topic, as `landed_at` tells it."""
        return landed_at(self.fine["partition"], self.fine["offset"])

    @cached_property
    def changes(self) -> Changes:
        """Fine rows of a contract whose keys are known."""
        return Changes.of(self.fine)

    @property
    def published_ms(self) -> tuple[int, int, int] | None:
        """published_at at P50, P95 and P99 of age."""
        if not len(self.fine):
            return None
        p50, p5, p1 = np.quantile(longs(self.fine, "published"), _QUANTILES)
        return int(p50), int(p5), int(p1)


_MET = pa.schema([("state", pa.string()), *PLACE])


@dataclass(frozen=True)
class Judged:
    """Rows by state, and of the applied ones: late, suppressed, and truncates.

    `swept` are rows of keys that a truncate removed. `met` has state, and file and at of their key's row, of those
    whose key has one.
    """

    states: Mapping[str, int] = field(default_factory=Counter)
    late: int = 0
    suppressed: int = 0
    truncates: int = 0
    swept: int = 0
    met: pa.Table = field(default_factory=_MET.empty_table)

    def places(self, *states: str) -> pa.Table:
        """The places (PLACE), each once, of the rows of silver that rows in these states met."""
        wanted = self.met.filter(pc.is_in(self.met["state"], pa.array(states)))
        return wanted.group_by(PLACE.names).aggregate([]).cast(PLACE)


def look(rows: DataFrame, contract: Contract) -> Looked:
    """One pass over checked rows; a few numbers of each reach the driver, as columns."""
    from pyspark.sql import functions as F

    wanted = [
        F.col("_code").alias("code"),
        F.col("_path").alias("path"),
        F.col("_late").alias("late"),
        F.col("_suppressed").alias("suppressed"),
        F.unix_millis(F.col("_published_at")).alias("published"),
        F.col("_batch").alias("batch"),
        F.col("_partition").alias("partition"),
        F.col("_offset").alias("offset"),
        F.col("_schema_id").alias("schema_id"),
        F.col("_contract_version").alias("version"),
    ]
    if contract.mode == "append":
        tenant, event_id, time = (
            column_of(contract, name) for name in (contract.tenant, contract.event_id, contract.event_time)
        )
        wanted += [
            F.unix_millis(F.col(f"`{time}`")).alias("ms"),
            hashed(tenant, event_id).alias("id"),
            said(contract).alias("says"),
        ]
    elif knowable(contract):
        wanted += hashes(contract)
    return Looked(rows.select(*wanted).toArrow().sort_by([(name, "ascending") for name in _PLACE]))


_PLACE = ("batch", "partition", "offset")


def said(contract: Contract) -> Column:
    """A hash of a row's fields, 1 to 2**32 - 1: two rows with different ones differ."""
    from pyspark.sql import functions as F

    parts = []
    for column in silver_columns(contract):
        if column.role == "field" and column.live:
            name = f"`{column.name}`"
            # A null adds nothing to a hash, so that it was one has to be said; maps have no hash.
            value = f"to_json(named_struct('v', {name}))" if "MAP<" in column.spark_type else name
            parts.append(f"{value}, {name} IS NULL")
    return F.expr(f"pmod(xxhash64({', '.join(parts)}), {2**32 - 1}L) + 1")


def judge(rows: DataFrame) -> Judged:
    """One pass over classified rows; a few values of each reach the driver, as columns."""
    from pyspark.sql import functions as F

    no, nowhere = F.lit(False), F.lit(None)
    sweeps, placed = "_swept" in rows.columns, "_there" in rows.columns
    found = (
        rows.where("_state IS NOT NULL")
        .select(
            F.col("_state").alias("state"),
            F.col("_late").alias("late"),
            F.col("_suppressed").alias("suppressed"),
            (F.expr(IS_TRUNCATE) if sweeps else no).alias("truncates"),
            (F.col("_swept") if sweeps else no).alias("swept"),
            (F.col("_there._file") if placed else nowhere.cast("string")).alias("file"),
            (F.col("_there._at") if placed else nowhere.cast("bigint")).alias("at"),
        )
        .toArrow()
    )
    return judged(found)


def judged(found: pa.Table) -> Judged:
    """From `state`, `late`, `suppressed`, `truncates`, `swept`, `file` and `at` of each row that has a state."""
    states = Counter({one["values"]: one["counts"] for one in found["state"].value_counts().to_pylist()})
    applied = found.filter(pc.equal(found["state"], "applied"))
    late, suppressed, truncated = (pc.sum(applied[name]).as_py() or 0 for name in ("late", "suppressed", "truncates"))
    met = found.filter(found["file"].is_valid()).select(_MET.names)
    return Judged(states, late, suppressed, truncated, pc.sum(found["swept"]).as_py() or 0, met)
