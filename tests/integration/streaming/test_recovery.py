"""Versions released live, tables restored, contracts halted: no record is lost or doubled on the way."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from caudal.settings import Settings
from schemas import wire
from schemas.contract import Contract, Version
from schemas.distribution import Released
from tests.support.released import released
from tests.support.stream_bench import Bench
from tests.support.wire_records import NOON, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
KNOWN = released()
ORDER, EVENT, ACCOUNT = "commerce.order", "product.event", "payments.account"


def second(one: Released) -> Released:
    """The contract with a version 2 that has one more field."""
    contract: Contract = one.contract
    avsc = json.loads(json.dumps(contract.latest.avsc))
    avsc["fields"].append({"name": "added_later", "type": ["null", "int"], "default": None})
    version = Version(2, avsc, wire.derive(contract, avsc))
    return Released(replace(contract, versions=(*contract.versions, version)), {**one.ids, 2: 7777})


def test_versions_and_restores_lose_nothing(spark: SparkSession, offline_settings: Settings) -> None:
    """A version released live fills its column, older rows stay; a RESTORE is seen and caught up from raw."""
    bench = Bench(spark, offline_settings, [KNOWN[ORDER], KNOWN[EVENT], KNOWN[ACCOUNT]])

    def order(n: int, version: int | None = None, **fields: object) -> object:
        contract = bench.released[ORDER].contract
        base = {"event_id": f"e{n}", "shop_id": "s", "order_id": f"o{n}", "currency": "BRL", "updated_at": NOON + n}
        return bench.message(ORDER, record(contract, version, **base, **fields), version)

    def event(n: int) -> object:
        base = {"event_id": f"p{n}", "tenant_id": "t", "tier": "free"}
        return bench.message(EVENT, record(KNOWN[EVENT].contract, **base))

    def account(n: int, sequence: int, op: str, version: int | None = None) -> object:
        base = {"event_id": f"a{n}", "tenant_id": "t", "account_id": "one", "_sequence": sequence, "_op": op}
        return bench.message(
            ACCOUNT, record(bench.released[ACCOUNT].contract, version, **base, status=f"s{n}"), version
        )

    bench.batch([order(1), event(1), account(1, 10, "c")])
    newer = second(KNOWN[ORDER])
    # A record of version 2 arrives before its contract does: it waits, a change record stops its whole contract.
    bench.registry.schemas = {}
    bench.released[ORDER] = newer
    early = order(2, 2, added_later=5)
    cdc = second(KNOWN[ACCOUNT])
    bench.released[ACCOUNT] = cdc = Released(cdc.contract, {1: KNOWN[ACCOUNT].ids[1], 2: 7778})
    bench.batch([early, event(2), account(2, 12, "d", 2), account(3, 11, "u", 1)])
    assert bench.ledger(ORDER)["parked"] == 1
    halted = {name: w.halted.code for name, w in bench.batches.workers.items() if w.halted}
    assert halted == {ACCOUNT: "CDL-UNKNOWN-ID"}
    assert not bench.release(newer)
    assert not bench.release(cdc)
    bench.batch([order(3, 1), order(4, 2, added_later=6), event(3)])
    assert {r["order_id"]: r["added_later"] for r in bench.silver(ORDER, "order_id, added_later")} == {
        "o1": None,
        "o2": 5,
        "o3": None,
        "o4": 6,
    }
    [latest] = bench.silver(ACCOUNT, "event_id, _sequence, _deleted_at, _op")
    assert (
        latest["event_id"], latest["_sequence"], latest["_op"], latest["_deleted_at"] is not None
    ) == ("a2", 12, "d", True)  # fmt: skip
    assert bench.ledger(ACCOUNT) == {"read": 3, "applied": 2, "superseded": 1}
    assert bench.findings() == []

    # Somebody restores a table to an older version: transaction ids are not undone by that, yet nothing is skipped.
    before = bench.silver(EVENT, "event_id, _batch, _offset", "event_id")
    spark.sql(f"RESTORE TABLE delta.`{bench.lake.spark_table('silver', 'product_event')}` TO VERSION AS OF 1")
    assert len(bench.silver(EVENT)) == 1
    bench.restart()
    bench.batches.flush()
    assert before == bench.silver(EVENT, "event_id, _batch, _offset", "event_id")
    assert bench.ledger(EVENT) == {"read": 3, "applied": 3}
    bench.batch([event(3), event(4)])
    assert bench.ledger(EVENT) == {"read": 5, "applied": 4, "duplicate": 1}
    assert bench.findings() == []


def test_a_log_that_was_cleaned_up_doubles_nothing(spark: SparkSession, offline_settings: Settings) -> None:
    """Care alone wrote to a quiet table until its log had lost the batches' facts: what it covers is still known."""
    bench = Bench(spark, offline_settings, [KNOWN[EVENT]])
    base = {"tenant_id": "t", "tier": "free"}
    messages = [bench.message(EVENT, record(KNOWN[EVENT].contract, event_id=f"p{n}", **base)) for n in range(3)]
    bench.batch(messages[:2])
    path = bench.lake.spark_table("silver", KNOWN[EVENT].contract.table)
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('caudal.note' = 'care')")
    table = DeltaTable(path)
    table.create_checkpoint()
    for commit in Path(path, "_delta_log").glob("*.json"):
        if int(commit.stem) < table.version():
            commit.unlink()
    bench.restart()
    assert [worker.covered for worker in bench.batches.workers.values()] == [bench.batches.raw.batch]
    bench.batch(messages)
    assert bench.ledger(EVENT) == {"read": 5, "applied": 3, "duplicate": 2}
    assert bench.findings() == []
