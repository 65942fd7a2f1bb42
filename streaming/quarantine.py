"""Step 9: dead letters: coordinates, code and path of each record that cannot be applied. The payload stays in raw.

Written before silver: when silver's commit says that a batch is done, its dead letters are there.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from caudal.fault import crashpoint
from schemas.contract import Contract
from streaming.append import CONFLICT
from streaming.commit import Txn
from streaming.handed import Handed
from streaming.measure import Looked

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# All contracts write to this one table. Commits side by side conflict, and Delta then reads the table's whole state.
_ONE_AT_A_TIME = threading.Lock()


def dead_letters(looked: Looked, left: pa.Table | None, contract: Contract, at: datetime) -> pa.Table:
    """The dead letters of a slice: rows that have a code, and conflicts among those left out."""
    refused = looked.rows.filter(looked.rows["code"].is_valid())
    if left is not None and CONFLICT in left["state"].to_pylist():
        others = left.filter(pc.equal(left["state"], CONFLICT)).select(["partition", "offset"])
        met = looked.fine.join(others, ["partition", "offset"], join_type="left semi")
        said = {"code": "CDL-CONFLICT", "path": contract.event_id}
        for name, value in said.items():
            where = met.column_names.index(name)
            met = met.set_column(where, name, pa.repeat(pa.scalar(value), len(met)))
        refused = pa.concat_tables([refused, met.select(refused.column_names)], promote_options="default")
    n = len(refused)
    return pa.table({
        "topic": pa.repeat(pa.scalar(contract.topic), n),
        "partition": refused["partition"],
        "offset": refused["offset"],
        "contract": pa.repeat(pa.scalar(contract.id), n),
        "code": refused["code"],
        "path": refused["path"],
        "schema_id": refused["schema_id"],
        "contract_version": refused["version"],
        "at": pa.repeat(pa.scalar(at, pa.timestamp("us", "UTC")), n),
        "_batch": refused["batch"],
    })  # fmt: skip


def write(session: SparkSession, letters: pa.Table, table: Handed, txn: Txn, covered: int) -> None:
    """Append those of batches that this contract has not written yet (`covered` is the last one written)."""
    new = letters.filter(pc.greater(letters["_batch"], covered))
    with _ONE_AT_A_TIME:
        table.stage(session, new, txn).commit()
    crashpoint("after-quarantine")
