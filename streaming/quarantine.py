"""Step 9: dead letters: coordinates, code and path of each record that cannot be applied. The payload stays in raw.

Written before silver: when silver's commit says that a batch is done, its dead letters are there.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING

from schemas.contract import Contract
from streaming.commit import Txn
from streaming.staged import stage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# All contracts write to this one table. Commits side by side conflict, and Delta then reads the table's whole state.
_ONE_AT_A_TIME = threading.Lock()


def dead_letters(rows: DataFrame, contract: Contract, at: datetime) -> DataFrame:
    """The dead letters among classified rows: those with a `_code`, and conflicts."""
    from pyspark.sql import functions as F

    conflict = F.col("_state") == "conflict"
    return rows.where("_code IS NOT NULL OR _state = 'conflict'").select(
        F.col("_topic").alias("topic"),
        F.col("_partition").alias("partition"),
        F.col("_offset").alias("offset"),
        F.lit(contract.id).alias("contract"),
        F.when(conflict, F.lit("CDL-CONFLICT")).otherwise(F.col("_code")).alias("code"),
        F.when(conflict, F.lit(contract.event_id)).otherwise(F.col("_path")).alias("path"),
        F.col("_schema_id").alias("schema_id"),
        F.col("_contract_version").alias("contract_version"),
        F.lit(at).cast("timestamp").alias("at"),
        "_batch",
    )


def write(rows: DataFrame, path: str, txn: Txn, covered: int) -> None:
    """Append those of batches that this contract has not written yet (`covered` is the last one written)."""
    with _ONE_AT_A_TIME:
        stage(rows.where(f"_batch > {covered}"), path, txn).commit()
