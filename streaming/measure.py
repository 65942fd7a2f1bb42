"""What a slice tells about itself: counts of its rows before and after they are judged, and ages of its records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import column_of
from streaming.append import Span
from streaming.truncates import IS_TRUNCATE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Quantiles of published_at: the age's P95 is the 5th percentile of the time.
_QUANTILES = (0.5, 0.05, 0.01)
# Exact to 1 in 1,000 of the rank, which is far below what a P99 of a batch can show.
_ACCURACY = 1000


@dataclass(frozen=True)
class Looked:
    """Rows by code (None: fine), the reach of fine rows' event times, and published_at at P50, P95, P99 of age (ms)."""

    codes: Mapping[str | None, int]
    spans: tuple[Span, ...]
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
    """One pass over checked rows; a few rows (codes times two) reach the driver."""
    from pyspark.sql import functions as F

    time = F.unix_millis(F.col(column_of(contract, contract.event_time)))
    published = F.unix_millis(F.col("_published_at"))
    found = (
        rows.groupBy("_code", "_late")
        .agg(
            F.count("*").alias("n"),
            F.min(time).alias("first"),
            F.max(time).alias("last"),
            F.percentile_approx(published, list(_QUANTILES), _ACCURACY).alias("published"),
        )
        .collect()
    )
    codes: Counter[str | None] = Counter()
    for row in found:
        codes[row["_code"]] += row["n"]
    fine = [row for row in found if row["_code"] is None]
    spans = tuple(Span(row["first"], row["last"]) for row in fine if row["first"] is not None)
    largest = max(fine, key=lambda row: row["n"], default=None)
    return Looked(codes, spans, tuple(largest["published"]) if largest and largest["published"] else None)


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
