"""Hours of a silver table as signals, and the small table that keeps them: `_quality/hours/<table>.parquet`.

A row is an epoch hour of `_published_at` with `volume` (rows), `delay` (P95 of the seconds from event to publishing)
and, for each number of the contract, `mean:<field>`, `max:<field>` (in magnitude) and `nulls:<field>` (percent).
Reads through deltalake, without a JVM: only files that can hold newer hours are opened.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from caudal.lake import Lake
from caudal.query import Query
from quality.anomalies.seasonal import WEEK, WEEKS, Floats
from schemas.contract import Contract
from schemas.tables import column_of, silver_columns

if TYPE_CHECKING:
    import pyarrow

FOLDER = "_quality/hours"
KEPT_HOURS = 400 * 24
"""A year and a month: the first of a month and holidays come again."""
# More signals a table would cost more false alarms than they bring.
NUMBERS = 4


def refresh(lake: Lake, contract: Contract, now_hour: int) -> pyarrow.Table | None:
    """Read the whole hours since the last ones kept, keep them, and return all; None when there is no silver table."""
    import pyarrow
    from pyarrow import parquet

    if not lake.has_table("silver", contract.table):
        return None
    name = f"{FOLDER}/{contract.table}.parquet"
    kept = lake.read_bytes(name)
    known = parquet.read_table(io.BytesIO(kept)) if kept else None
    since = known.column("hour")[-1].as_py() + 1 if known is not None and len(known) else now_hour - WEEKS * WEEK
    if known is not None and since >= now_hour:
        return known
    news = _read(lake, contract, since, now_hour)
    found = news if known is None else pyarrow.concat_tables([known, news], promote_options="default")
    found = found.slice(max(0, len(found) - KEPT_HOURS))
    buffer = io.BytesIO()
    parquet.write_table(found, buffer)
    lake.write_atomic(name, buffer.getvalue())
    return found


def signals(hours: pyarrow.Table, until: int) -> tuple[int, dict[str, Floats]]:
    """The first hour, and each signal as numbers of consecutive hours up to `until`; an hour without rows has volume 0
    and no other numbers."""
    if not len(hours):
        return until, {}
    at = hours.column("hour").to_numpy()
    first = int(at[0])
    found: dict[str, Floats] = {}
    for name in hours.column_names:
        if name != "hour":
            values = np.full(max(until, int(at[-1]) + 1) - first, 0.0 if name == "volume" else np.nan)
            values[at - first] = hours.column(name).to_numpy(zero_copy_only=False)
            found[name] = values
    return first, found


def numbers(contract: Contract) -> tuple[str, ...]:
    """The columns that have a distribution: the first few amounts and other numbers that identify nothing."""
    left_out = {contract.tenant, contract.event_id, *contract.key, *contract.sequence}
    found = [
        column.name
        for column in silver_columns(contract)
        if column.role == "field"
        and column.live
        and column.field not in left_out
        and column.spark_type.startswith(("DECIMAL", "DOUBLE"))
    ]
    return tuple(found[:NUMBERS])


def _read(lake: Lake, contract: Contract, since: int, until: int) -> pyarrow.Table:
    query = Query(lake)
    query.table("silver", "silver", contract.table)
    event_time = column_of(contract, contract.event_time)
    columns = [
        "cast(floor(date_part('epoch', _published_at) / 3600) as bigint) as hour",
        "cast(count(*) as double) as volume",
        "approx_percentile_cont(greatest(0.0, cast(date_part('epoch', _published_at) as double) "
        f"- cast(date_part('epoch', \"{event_time}\") as double)), 0.95) as delay",
    ]
    for name in numbers(contract):
        number = f'abs(cast("{name}" as double))'
        columns += [
            f'avg({number}) as "mean:{name}"',
            f'max({number}) as "max:{name}"',
            f'100.0 * avg(case when "{name}" is null then 1.0 else 0.0 end) as "nulls:{name}"',
        ]
    first, last = (f"to_timestamp_micros({hour * 3_600_000_000})" for hour in (since, until))
    return query.arrow(
        f"select {', '.join(columns)} from silver where _published_at >= {first} and _published_at < {last} "
        "group by 1 order by 1"
    )


def hour_of(moment: datetime) -> int:
    """The epoch hour of a time."""
    return int(moment.astimezone(UTC).timestamp() // 3600)
