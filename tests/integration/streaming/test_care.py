"""Table care between batches: few files, the same rows, and everything goes on after it, a kill of the process too."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from caudal.query import Query
from caudal.settings import Settings
from streaming.commands import answer, verbs
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import NOON, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
KNOWN = released()
REFUND, ORDER = "commerce.refund", "commerce.order"
BATCHES, LIMIT = 3, 2
# Raw, ledger, parked, dead letters, and the tables of two contracts: each has its turn.
TURNS = 6
TABLES = (("raw", "events"), ("ops", "ledger"), ("silver", "commerce_refund"), ("silver", "commerce_order"))
RETENTION = "delta.logRetentionDuration"
OLD = f"'{RETENTION}' = 'interval 30 days'"
# At once, always, and whatever it takes.
EAGER = {"care_look_s": 1e-9, "care_share": 1.0, "care_files": LIMIT}


def refund(bench: Bench, n: int) -> Message:
    fields = {"event_id": f"r{n}", "shop_id": "s", "refund_id": f"r{n}", "created_at": NOON + n, "currency": "BRL"}
    return bench.message(REFUND, record(KNOWN[REFUND].contract, **fields))


def order(bench: Bench, key: int, at: int) -> Message:
    fields = {"event_id": f"o{key}-{at}", "shop_id": "s", "order_id": f"o{key}", "updated_at": NOON + at}
    return bench.message(ORDER, record(KNOWN[ORDER].contract, **fields, currency="BRL"))


def files(bench: Bench, layer: str, name: str) -> int:
    return len(DeltaTable(bench.lake.table(layer, name)).file_uris())


def cared_for(bench: Bench, patience_s: float = 60) -> None:
    """Until each table has had its turn, and fewer small files than the limit; some are written beside the batches."""
    for _ in range(TURNS):
        bench.batches.tend()
    deadline = time.monotonic() + patience_s
    while left := {place: n for place in TABLES if (n := files(bench, *place)) >= LIMIT}:
        assert time.monotonic() < deadline, f"still so many files: {left}"
        bench.batches.tend()
        time.sleep(0.05)


def rows_at(bench: Bench, version: int) -> int:
    query = Query(bench.lake)
    query.table("t", "silver", "commerce_refund", version)
    return int(query.one("SELECT count(*) FROM t"))


def test_tables_stay_small_and_the_same(spark: SparkSession, offline_settings: Settings) -> None:
    """Each batch is followed by care of every table; copies, older orders and a restart are told apart all the same."""
    bench = Bench(spark, offline_settings, [KNOWN[REFUND], KNOWN[ORDER]], **EAGER)
    for n in range(BATCHES):
        repeated = [refund(bench, n - 1)] if n else []
        bench.batch([refund(bench, n), *repeated, order(bench, n % 2, n), order(bench, 9, BATCHES - n)])
        cared_for(bench)
        assert [worker.halted for worker in bench.batches.workers.values()] == [None, None]
        if n == 1:
            for layer, name in TABLES:
                # As an older release made it.
                bench.spark.sql(f"ALTER TABLE delta.`{bench.lake.spark_table(layer, name)}` SET TBLPROPERTIES ({OLD})")
            bench.restart()

    assert bench.counted("caudal_compacted_files_total", stage="raw") > 0
    assert bench.counted("caudal_compacted_files_total", stage="silver") > 0
    assert [row["event_id"] for row in bench.silver(REFUND, "event_id")] == [f"r{n}" for n in range(BATCHES)]
    newest = {f"o{n % 2}": n for n in range(BATCHES)} | {"o9": BATCHES}
    rows = bench.silver(ORDER, "order_id, updated_at")
    assert {row["order_id"]: round(row["updated_at"].timestamp() * 1000) - NOON for row in rows} == newest
    assert bench.ledger(REFUND) == {"read": 2 * BATCHES - 1, "applied": BATCHES, "duplicate": BATCHES - 1}
    assert bench.findings() == []
    kept = {DeltaTable(bench.lake.table(*place)).metadata().configuration[RETENTION] for place in TABLES}
    assert kept == {"interval 7 days"}
    _asked(bench)


def _asked(bench: Bench) -> None:
    """On command a table is cared for at once, by contract or by name, and the answer says what that saved."""
    known = verbs(bench.batches)
    bench.batch([order(bench, 20, 1)])
    bench.batch([order(bench, 21, 1)])
    before = files(bench, "silver", "commerce_order")
    found = answer(json.dumps({"id": "1", "verb": "care", "arguments": {"table": ORDER}}).encode(), known)
    assert found is not None
    runs = {run["kind"]: run for run in found["result"]["runs"]}
    assert set(runs) == {"compact", "log"}
    assert runs["compact"]["table"] == "silver.commerce_order"
    assert runs["compact"]["files"] == before - files(bench, "silver", "commerce_order") > 0
    bench.batch([order(bench, 22, 1)])
    assert bench.batches.workers[ORDER].halted is None
    refused = answer(json.dumps({"id": "2", "verb": "care", "arguments": {"table": "gold.sales"}}).encode(), known)
    assert refused is not None
    assert refused["exit_code"] == 2


@pytest.mark.slow
def test_a_vacuum_keeps_what_the_last_week_may_read(spark: SparkSession, offline_settings: Settings) -> None:
    """Right after a compaction nothing is old enough: every version can still be read."""
    bench = Bench(spark, offline_settings, [KNOWN[REFUND]], **EAGER, vacuum_first_s=0.0)
    for n in range(BATCHES):
        bench.batch([refund(bench, n)])
        for _ in range(TURNS):
            bench.batches.tend()
    last = DeltaTable(bench.lake.table("silver", "commerce_refund")).version()
    counts = [rows_at(bench, version) for version in range(last + 1)]
    assert counts == sorted(counts)
    assert counts[-1] == BATCHES
    assert bench.findings() == []
