"""The gold table that `caudal bench serving` asks: orders of many tenants, laid out as table care leaves a mart."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, write_deltalake

from caudal.lake import Lake
from schemas.manifest import Group, TableVersion, publish

MART = "fct_orders"
# Rows of one data file: what clustering by tenant makes of a mart of this size.
FILE_ROWS = 1_000_000
MONEY = pa.decimal128(28, 2)
START_US = 1_760_000_000_000_000
DAYS = 90
STATUSES = ("paid", "open", "cancelled", "refunded")
REGIONS = ("SP", "RJ", "MG", "BA", "RS")


def tenant(number: int) -> str:
    """The name of a tenant."""
    return f"tenant-{number:06d}"


def fill(lake: Lake, rows: int, tenants: int, say: Callable[[str], None]) -> TableVersion:
    """Write and publish the mart: as many rows for each tenant, files sorted by tenant."""
    path, chance = lake.table("gold", MART), np.random.default_rng(1)
    for first in range(0, rows, FILE_ROWS):
        last = min(rows, first + FILE_ROWS)
        write_deltalake(path, _rows(first, last, rows, tenants, chance), mode="append", target_file_size=1 << 30)
        say(f"bench: {last:,} of {rows:,} rows written")
    table = DeltaTable(path)
    version = TableVersion(path, str(table.metadata().id), table.version(), rows)
    publish(lake, "live", Group("bench", int(time.time() * 1000), {}, {MART: version}))
    return version


def _rows(first: int, last: int, rows: int, tenants: int, chance: np.random.Generator) -> pa.Table:
    count, ids = last - first, np.arange(first, last)
    times = START_US + chance.integers(0, DAYS * 86_400_000_000, count)
    return pa.table(
        {
            "tenant_id": _named("tenant-", ids * tenants // rows, 6),
            "order_id": _named("order-", ids, 9),
            "status": pa.array(np.array(STATUSES)[chance.integers(0, len(STATUSES), count)]),
            "region": pa.array(np.array(REGIONS)[chance.integers(0, len(REGIONS), count)]),
            "total": pa.array(chance.integers(100, 1_000_000, count))
            .cast(pa.decimal128(19, 0))
            .cast(pa.decimal128(28, 2)),
            "items": pa.array(chance.integers(1, 9, count)),
            "updated_at": pa.array(times, pa.timestamp("us", "UTC")),
        }
    )


def _named(prefix: str, numbers: np.ndarray, digits: int) -> pa.Array:
    text = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), digits, "0")
    return pc.binary_join_element_wise(prefix, text, "")
