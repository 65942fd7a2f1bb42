"""Step 8 for upsert contracts whose keys are known in memory: most records are judged without a look at silver.

Those that the hashes leave open go through `upsert`, beside the rows of their keys alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contract import Contract
from streaming import upsert
from streaming.keys import APPLIED, NOWHERE, Compared, Keys, key_hash, landed_at
from streaming.measure import Looked
from streaming.silver import SilverTable

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TOLD = pa.schema({
    "partition": pa.int32(), "offset": pa.int64(), "late": pa.bool_(), "suppressed": pa.bool_(), "state": pa.string(),
    "file": pa.string(), "at": pa.int64(), "truncates": pa.bool_(), "swept": pa.bool_(),
})  # fmt: skip


def told(
    session: SparkSession, rows: DataFrame, looked: Looked, silver: SilverTable, contract: Contract, keys: Keys
) -> pa.Table:
    """Each fine record: `partition`, `offset`, `state` (applied, duplicate, superseded), `file` and `at` of its key's
    row (null: it has none), and what `measure.judged` counts."""
    compared = keys.compare(looked.changes)
    found = _plain(looked.fine, compared, keys).filter(pa.array(~compared.open))
    if not len(compared.keys):
        return found
    return pa.concat_tables([found, _looked_into(session, rows, silver, contract, compared)])


def left(found: pa.Table) -> pa.Table:
    """Those that are not applied."""
    return found.filter(pc.not_equal(found["state"], APPLIED))


def remember(looked: Looked, found: pa.Table, keys: Keys, silver: SilverTable, version: int) -> None:
    """The applied ones are rows now, by the commit `version`."""
    applied = found.filter(pc.equal(found["state"], APPLIED))
    mine = np.isin(looked.places, landed_at(applied["partition"], applied["offset"]))
    keys.add(looked.changes.at(mine), looked.places[mine], silver, version)


def _plain(fine: pa.Table, compared: Compared, keys: Keys) -> pa.Table:
    no = pa.repeat(pa.scalar(False), len(fine))
    return pa.table({
        **{name: fine[name] for name in ("partition", "offset", "late", "suppressed")},
        "state": pa.array(compared.state, pa.string()),
        "file": keys.named(compared.file),
        "at": pa.array(compared.place, mask=compared.place == NOWHERE),
        "truncates": no, "swept": no,
    }).cast(_TOLD)  # fmt: skip


def _looked_into(
    session: SparkSession, rows: DataFrame, silver: SilverTable, contract: Contract, compared: Compared
) -> pa.Table:
    from pyspark.sql import functions as F

    suspected = F.broadcast(session.createDataFrame(pa.table({"_h": compared.keys})))
    mine = rows.where("_code IS NULL").join(suspected, key_hash(contract) == F.col("_h"), "left_semi")
    with upsert.classified(session, mine, silver, contract, compared.files) as out:
        wanted = ("_partition", "_offset", "_late", "_suppressed", "_state", "_there._file", "_there._at")
        found = out.select(*[F.col(name) for name in wanted], F.lit(False), F.lit(False)).toArrow()
    return found.rename_columns(_TOLD.names).cast(_TOLD)
