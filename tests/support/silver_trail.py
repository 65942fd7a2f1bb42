"""One payment in silver and the ledger's line of its batch, with the columns that the road of an event reads."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
from deltalake import write_deltalake

from caudal.lake import Lake

TIME = pa.timestamp("us", "UTC")


def trail(lake: Lake, tenant: str, event_id: str, published_at: dt.datetime) -> None:
    """The event was seen two seconds before it was published, and was in silver two seconds after."""
    two = dt.timedelta(seconds=2)
    row = {
        "tenant_id": tenant, "event_id": event_id, "_origin_source": "core", "_observed_at": published_at - two,
        "_published_at": published_at, "_topic": "payments.transaction", "_partition": 3, "_offset": 41,
        "_kafka_time": published_at, "_schema_id": 5, "_contract_version": 1, "_batch": 9, "_late": False,
    }  # fmt: skip
    write_deltalake(lake.table("silver", "payments_transaction"), pa.Table.from_pylist([row], _schema(row)))
    line = {"batch": 9, "contract": "payments.transaction", "read": 1, "committed_at": published_at + two}
    write_deltalake(lake.table("ops", "ledger"), pa.Table.from_pylist([line], _schema(line)))


def _schema(row: dict[str, object]) -> pa.Schema:
    kinds = {dt.datetime: TIME, str: pa.string(), int: pa.int64(), bool: pa.bool_()}
    return pa.schema([(name, kinds[type(value)]) for name, value in row.items()])
