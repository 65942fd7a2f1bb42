"""What a slice tells about itself: counts of its rows before and after they are judged, and ages of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from schemas.contract import Contract
from schemas.tables import column_of
from streaming.ids import Longs, hashed, longs
from streaming.truncates import IS_TRUNCATE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Quantiles of published_at: the age's P95 is the 5th percentile of the time.
_QUANTILES = (0.5, 0.05, 0.01)


@dataclass(frozen=True)
class Looked:
    """Rows by code (None: fine) and, of the fine ones: how many are late and suppressed, event times and hashes of ids
    (append contracts; empty otherwise), and published_at at P50, P95, P99 of age. Times are epoch milliseconds."""

    codes: Mapping[str | None, int]
    late: int
    suppressed: int
    event_ms: Longs
    ids: Longs
    published_ms: tuple[int, int, int] | None


@dataclass(frozen=True)
class Judged:
    """Rows by state, and of the applied ones: late, suppressed, those whose key already has a row, and truncates.

    `swept` are rows of keys that a truncate removed.
    """

    states: Mapping[str, int] = field(default_factory=Counter)
    late: int = 0
    suppressed: int = 0
    known: int = 0
    truncates: int = 0
    swept: int = 0


def look(rows: DataFrame, contract: Contract) -> Looked:
    """One pass over checked rows; a few numbers of each reach the driver, as columns."""
    from pyspark.sql import functions as F

    time = column_of(contract, contract.event_time)
    wanted = [
        F.col("_code").alias("code"),
        F.col("_late").alias("late"),
        F.col("_suppressed").alias("suppressed"),
        F.unix_millis(F.col("_published_at")).alias("published"),
    ]
    if contract.mode == "append":
        id_ = hashed(column_of(contract, contract.tenant), column_of(contract, contract.event_id))
        wanted += [F.unix_millis(F.col(f"`{time}`")).alias("ms"), id_.alias("id")]
    found = rows.select(*wanted).toArrow()
    codes = Counter({one["values"]: one["counts"] for one in found["code"].value_counts().to_pylist()})
    fine = found.filter(found["code"].is_null())
    late, suppressed = _true(fine, "late"), _true(fine, "suppressed")
    append = contract.mode == "append"
    return Looked(
        codes,
        late,
        suppressed,
        longs(fine, "ms") if append else _NONE,
        longs(fine, "id") if append else _NONE,
        _quantiles(fine),
    )


_NONE = np.empty(0, np.int64)


def _true(table: pa.Table, name: str) -> int:
    return int(np.count_nonzero(table[name].to_numpy()))


def _quantiles(fine: pa.Table) -> tuple[int, int, int] | None:
    if not len(fine):
        return None
    p50, p5, p1 = np.quantile(longs(fine, "published"), _QUANTILES)
    return int(p50), int(p5), int(p1)


def judge(rows: DataFrame) -> Judged:
    """One pass over classified rows; a handful of rows reaches the driver."""
    from pyspark.sql import functions as F

    no = F.lit(False)
    known = F.col("_known") if "_known" in rows.columns else no
    swept = F.col("_swept") if "_swept" in rows.columns else no
    truncates = F.expr(IS_TRUNCATE) if "_swept" in rows.columns else no
    found = (
        rows.where("_state IS NOT NULL")
        .groupBy("_state")
        .agg(
            F.count("*").alias("n"),
            F.count_if("_late").alias("late"),
            F.count_if("_suppressed").alias("suppressed"),
            F.count_if(known).alias("known"),
            F.count_if(truncates).alias("truncates"),
            F.count_if(swept).alias("swept"),
        )
        .collect()
    )
    states = Counter({row["_state"]: row["n"] for row in found})
    applied = next((row for row in found if row["_state"] == "applied"), None)
    removed = sum(row["swept"] for row in found)
    if applied is None:
        return Judged(states, swept=removed)
    return Judged(states, applied["late"], applied["suppressed"], applied["known"], applied["truncates"], removed)
