"""Silver tables of append contracts as streaming would leave them, written by deltalake from wire records: no JVM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from caudal.lake import Lake
from schemas.contract import Contract

TIME, MONEY = pa.timestamp("us", tz="UTC"), pa.decimal128(18, 2)
ENTITY = pa.struct(
    [
        ("entity", pa.string()),
        ("ref", pa.string()),
        ("events", pa.list_(pa.int64())),
        ("labels", pa.list_(pa.int64())),
        ("digest", pa.string()),
    ]
)
TYPES: Mapping[str, pa.DataType] = {
    "amount": MONEY, "occurred_at": TIME, "opened_at": TIME, "transaction_at": TIME, "labelled_at": TIME,
    "decided_for": TIME, "decided_at": TIME, "is_fraud": pa.bool_(), "score": pa.float64(), "latency_ms": pa.float64(),
    "reasons": pa.list_(pa.string()), "features": pa.map_(pa.string(), pa.float64()), "entities": pa.list_(ENTITY),
}  # fmt: skip


def write(lake: Lake, contract: Contract, wires: Iterable[tuple[Mapping[str, Any], int, int]]) -> None:
    """Append wire records with their partition and offset."""
    places = [("_partition", pa.int32()), ("_offset", pa.int64()), ("_suppressed", pa.bool_())]
    rows = [
        {**{k: _value(k, v) for k, v in wire.items()}, "_partition": partition, "_offset": offset, "_suppressed": False}
        for wire, partition, offset in wires
    ]
    # What neither proof reads (sealed fields, balances, sequences) is left out.
    texts = {k for k in rows[0] if all(isinstance(row[k], str | None) for row in rows)}
    fields = [(name, TYPES.get(name, pa.string())) for name in rows[0] if name in TYPES or name in texts]
    table = pa.Table.from_pylist(rows, schema=pa.schema([*fields, *places]))
    write_deltalake(lake.table("silver", contract.table), table, mode="append", schema_mode="merge")


def _value(name: str, value: Any) -> Any:
    if TYPES.get(name) == TIME and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC)
    if name == "features":
        return list(value.items())
    if name == "amount":
        return Decimal(value)
    return value
