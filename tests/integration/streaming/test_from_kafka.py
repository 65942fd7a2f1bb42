"""Real Kafka: aborted transactions stay unseen, positions come from raw, and what is tampered with is found."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from caudal.lake import Lake
from caudal.settings import Settings
from schemas import topics
from schemas.contract import Contract
from schemas.distribution import Released
from streaming import kafka_recount
from streaming.query import Query
from streaming.recount import Recount
from streaming.settings import StreamingSettings
from tests.support import contracts
from tests.support.stream_bench import Bench
from tests.support.wire_records import framed, key_of, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.kafka]
DEADLINE_S = 240.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, not for a time."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.1)


def send(settings: Settings, one: Released, first: int, n: int, *, commit: bool) -> None:
    """One transaction of `n` events."""
    producer = Producer({**topics.client_conf(settings), "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    for i in range(first, first + n):
        value = record(one.contract, event_id=f"e{i}", tenant_id="t")
        producer.produce(one.contract.topic, key=key_of(one.contract, value), value=framed(one, value))
    producer.flush(30)
    producer.commit_transaction(30) if commit else producer.abort_transaction(30)


def test_transactions_positions_and_tampering(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    """Committed records land once over two runs of the query; a raw or silver row that is taken or added is found."""
    contract: Contract = contracts.make(tmp_path, (), id=f"stream{uuid.uuid4().hex[:8]}.thing")
    one = Released(contract, {1: 50_001})
    topics.ensure(settings, contract.topic, 2, {})
    send(settings, one, 0, 5, commit=True)
    send(settings, one, 5, 7, commit=False)
    send(settings, one, 12, 3, commit=True)
    bench = Bench(spark, settings, [one])
    query = Query(spark, settings, StreamingSettings(trigger_s=0.2), bench.batches)
    assert query.start()
    until(lambda: bench.batches.workers[contract.id].covered > 0 and query.failure() is None)
    query.stop()
    bench.restart()
    send(settings, one, 15, 2, commit=True)
    send(settings, one, 14, 1, commit=True)
    query = Query(spark, settings, StreamingSettings(trigger_s=0.2), bench.batches)
    before = bench.batches.raw.batch
    assert query.start()
    until(lambda: len(bench.rows("raw", "events", "topic")) == 11)
    query.stop()
    bench.batches.flush()

    assert before > 0
    assert {f"e{i}" for i in (0, 1, 2, 3, 4, 12, 13, 14, 15, 16)} == {
        row["event_id"] for row in bench.silver(contract.id, "event_id")
    }
    assert bench.ledger(contract.id) == {"read": 11, "applied": 10, "duplicate": 1}
    found, partial = kafka_recount.compare(settings, bench.lake)
    assert (found.examined, found.findings, partial) == (11, [], False)
    since, partial = kafka_recount.compare(settings, bench.lake, before + 1)
    assert (since.examined, since.findings, partial) == (3, [], False)
    assert bench.findings() == []
    _tamper(spark, settings, bench.lake, contract)


def _tamper(spark: SparkSession, settings: Settings, lake: Lake, contract: Contract) -> None:
    """Each change is made on a copy of the lake and must be found by the right half of verify."""
    silver = f"silver/{contract.table}"
    changes = {
        "raw row dropped": (
            "DELETE FROM delta.`{}/raw/events` WHERE offset = 0 AND topic LIKE 'stream%'",
            "lake kafka",
        ),
        "raw row purged": (
            "INSERT INTO delta.`{0}/ops/purges` SELECT 'p', 'c', topic, partition, _batch, offset, offset, 1, '', "
            "NULL, 'ana', 'asked', kafka_time FROM delta.`{0}/raw/events` WHERE offset = 1;"
            "DELETE FROM delta.`{0}/raw/events` WHERE offset = 1",
            "",
        ),
        "raw row altered": ("UPDATE delta.`{}/raw/events` SET value = X'00' WHERE offset = 1", "kafka"),
        "raw row added": (
            "INSERT INTO delta.`{0}/raw/events` SELECT * FROM delta.`{0}/raw/events` LIMIT 1",
            "lake kafka",
        ),
        "silver row dropped": (f"DELETE FROM delta.`{{}}/{silver}` WHERE event_id = 'e3'", "lake"),
        "silver row added": (
            f"INSERT INTO delta.`{{0}}/{silver}` SELECT * FROM delta.`{{0}}/{silver}` WHERE event_id = 'e3'",
            "lake twice",
        ),
    }
    for name, (sql, halves) in changes.items():
        copy = settings.data_dir / "tampered" / name.replace(" ", "-")
        shutil.copytree(lake.uri, copy / "lake")
        changed = settings.with_(data_dir=copy)
        for statement in sql.split(";"):
            spark.sql(statement.format(copy / "lake"))
        other = Lake.open(changed)
        recount = Recount(other, [contract])
        seen = {
            "lake": recount.conservation().findings,
            "kafka": kafka_recount.compare(changed, other)[0].findings,
            "twice": recount.idempotence().findings,
        }
        assert {half for half, findings in seen.items() if findings} == set(halves.split()), (name, seen)
