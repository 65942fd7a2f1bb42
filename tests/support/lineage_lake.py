"""What the stages leave behind for lineage, written without them: ledger lines, cycle records, results of checks."""

from __future__ import annotations

import functools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from batch import record
from batch.lineage import assemble
from batch.lineage.graph import Graph
from batch.record import Built, Record, State
from batch.settings import BatchSettings
from caudal.lake import Lake
from schemas.load import load_catalog
from schemas.tables import LEDGER

CONTRACTS = Path(__file__).resolve().parents[2] / "schemas" / "contracts"
NOW_MS = 1_790_000_000_000
_KINDS = {"STRING": pa.string(), "BIGINT": pa.int64(), "TIMESTAMP": pa.timestamp("us", "UTC")}


@functools.cache
def graph() -> Graph:
    """The graph of the contracts and the project that come with Caudal; it costs seconds, so it is made once."""
    return assemble.graph(load_catalog(CONTRACTS).values(), BatchSettings())


def commit(lake: Lake, contract: str, version: int, at_ms: int = NOW_MS, **counts: Any) -> None:
    """Add a line to the ledger: `read` and `applied` records, and other counts, of one commit of silver."""
    row = {
        "batch": version,
        "contract": contract,
        "read": 0,
        "applied": 0,
        "committed_at": datetime.fromtimestamp(at_ms / 1000, UTC),
        "silver_version": version,
        "offsets": json.dumps({"0": [version * 10, version * 10 + 10]}),
    }
    full = {column.name: 0 if column.spark_type == "BIGINT" else None for column in LEDGER} | row | counts
    schema = pa.schema([(column.name, _KINDS[column.spark_type]) for column in LEDGER])
    line = pa.Table.from_pylist([full], schema=schema)
    write_deltalake(lake.table("ops", "ledger"), line, mode="append", storage_options=lake.storage_options or None)


def cycle(lake: Lake, name: str, state: State = "published", **more: Any) -> Record:
    """Leave a record of a cycle of the live group that made `fct_orders` of two silver tables."""
    return record.keep(
        lake,
        Record(
            cycle=name,
            group="live",
            state=state,
            started_ms=NOW_MS,
            **{
                "ended_ms": NOW_MS + 5000,
                "inputs": ("commerce_order",),
                "silver_versions": {"commerce_order": 7, "payments_transaction": 3},
                "tables": {"fct_orders": Built(4, "table-1", 12)},
                **more,
            },
        ),
    )


def verdicts(lake: Lake, name: str, *, ok: bool = True) -> None:
    """Leave what the checks of a cycle found."""
    one: dict[str, Any] = {"layer": "gold", "table": "fct_orders", "severity": "critical", "checked": 12, "detail": ""}
    listed = [
        {**one, "code": "NOT_NULL:total", "ok": ok, "failing": 0 if ok else 2, "observed": None},
        {**one, "code": "MEAN:total", "ok": True, "severity": "warning", "failing": None, "observed": 10.5},
        {**one, "table": "", "code": "RECONCILE:orders", "ok": True, "failing": None, "observed": None},
    ]
    document = {"cycle": name, "group": "live", "at_ms": NOW_MS + 4000, "ok": ok, "results": listed}
    for file in (name, "latest-live"):
        lake.write_atomic(f"_quality/{file}.json", json.dumps(document).encode())
