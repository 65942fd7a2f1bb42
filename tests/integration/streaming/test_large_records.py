"""Large records and a backlog of them: batches bounded by bytes, a record of 20 MB harms nobody, bounded memory."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from caudal import standing
from caudal.lake import Lake
from caudal.metrics import read_all
from caudal.query import Query
from caudal.settings import Settings
from schemas import apply, topics
from schemas.contract import Catalog
from schemas.distribution import ContractFeed, Released
from streaming import query as stream
from streaming.settings import StreamingSettings
from streaming.verify import checks
from tests.support import contracts
from tests.support.stream_bench import Bench
from tests.support.stream_process import covered, end, start
from tests.support.wire_records import framed, key_of, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.kafka]
DEADLINE_S = 1200.0
MB = 1_000_000
HUGE, MEDIUM, SMALL = 20 * MB, 100_000, 100
# A driver of 1 GiB: heap, classes, code, stacks and buffers. Without bounds this test ends it at once.
MOST_MIB = 2048
PROMISE_S = 600


@pytest.mark.timeout(1800)
def test_large_records_flow_or_are_refused_in_bounded_memory(settings: Settings, tmp_path: Path) -> None:
    """20 MB is a dead letter, 100 kB are rows, who comes between them gets through; it may all come in one batch."""
    contract = contracts.make(
        tmp_path / "contracts", (contracts.field("note", "string"),), id=f"large{uuid.uuid4().hex[:8]}.thing",
        yaml=contracts.YAML + f"slaProperties: [{{property: freshness, value: {PROMISE_S}, unit: s}}]\n",
    )  # fmt: skip
    settings = settings.with_(
        contracts_dir=tmp_path / "contracts",
        schemas={"contracts_topic": f"contracts.{settings.data_dir.parent.name}"},
    )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    [applied] = apply.apply(settings, Catalog({contract.id: contract}))
    assert applied.error is None
    feed = ContractFeed(settings)
    one = feed.read_to_end()[contract.id]
    feed.close()
    sizes = [*[SMALL] * 20, HUGE, *[SMALL] * 20, *[HUGE] * 8, *[MEDIUM] * 1000, *[SMALL] * 20]
    _send(settings, one, sizes)

    process = start(settings, tmp_path / "crash", None)
    try:
        peak, deadline = 0.0, time.monotonic() + DEADLINE_S
        while covered(settings, one) < len(sizes):
            assert process.poll() is None
            assert time.monotonic() < deadline
            peak = max(peak, _peak_mib(process))
            time.sleep(0.5)
        # All is read, so the table is complete up to every look, and nothing is left.
        while not (told := standing.freshness(read_all(settings.run_dir / "metrics"))) or told[0]["age_s"] is None:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert told[0]["contract"] == contract.id
        assert told[0]["promise_s"] == PROMISE_S
        assert told[0]["age_s"] < told[0]["promise_s"]
        assert standing.backlog(read_all(settings.run_dir / "metrics")) is not None
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        end(process)

    query = Query(Lake.open(settings))
    query.table("silver", "silver", contract.table)
    query.table("dead", "quarantine", "dead_letters")
    assert query.one("SELECT count(DISTINCT event_id) FROM silver") == len(sizes) - sizes.count(HUGE)
    assert query.rows("SELECT code, count(*) AS n FROM dead GROUP BY code") == [
        {"code": "CDL-TOO-LARGE", "n": sizes.count(HUGE)}
    ]
    assert [(check.ok, check.findings) for check in checks(settings)] == [(True, ())] * 2
    assert peak < MOST_MIB


def test_what_was_seen_bounds_what_comes(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    """A megabyte a batch: 100 records of a topic that nobody knows, then 50 of 20 kB each; a restart knows that too."""
    contract = contracts.make(tmp_path, (contracts.field("note", "string"),), id=f"seen{uuid.uuid4().hex[:8]}.thing")
    one, own = Released(contract, {1: 50_001}), StreamingSettings(batch_mb=1, trigger_s=0.1)
    topics.ensure(settings, contract.topic, 1, {})
    _send(settings, one, [19_900] * 220)
    bench = Bench(spark, settings, [one], batch_mb=1)
    before = _read(bench, stream.Query(spark, settings, own, bench.batches), 220)
    assert before[0] == 100
    assert max(before[1:]) <= 50

    bench.restart()
    _send(settings, one, [19_900] * 60)
    after = _read(bench, stream.Query(spark, settings, own, bench.batches), 280)
    assert max(after[len(before) :]) <= 50


def _read(bench: Bench, query: stream.Query, rows: int) -> list[int]:
    """Records in each of raw's batches, once there are so many rows."""
    assert query.start()
    deadline = time.monotonic() + DEADLINE_S
    while len(found := bench.rows("raw", "events", "_batch")) < rows:
        assert query.failure() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    query.stop()
    return list(Counter(row["_batch"] for row in found).values())


def _send(settings: Settings, one: Released, sizes: Iterable[int]) -> None:
    """Records whose note has so many characters, in this order, to one partition; no compression makes them small."""
    topic = one.contract.topic
    larger = ConfigEntry("max.message.bytes", str(2 * HUGE), incremental_operation=AlterConfigOpType.SET)
    place = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[larger])
    admin = AdminClient(topics.client_conf(settings))
    for future in admin.incremental_alter_configs([place]).values():
        future.result(30)
    producer = Producer({**topics.client_conf(settings), "message.max.bytes": 2 * HUGE, "linger.ms": 50})
    noise = random.Random(7).randbytes(HUGE // 2).hex()
    for i, size in enumerate(sizes):
        at = i % 1000
        value = record(one.contract, event_id=f"e{i}", tenant_id="t", note=noise[at : at + size])
        producer.produce(topic, key=key_of(one.contract, value), value=framed(one, value), partition=0)
        producer.poll(0)
        if size == HUGE:
            producer.flush(60)
    assert producer.flush(60) == 0


def _peak_mib(process: subprocess.Popen[bytes]) -> float:
    """The most that a process of the group has had in memory; 0 where the system does not tell."""
    peaks = [0.0]
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getpgid(int(status.parent.name)) == process.pid:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
                peaks.append(int(lines["VmHWM"].split()[0]) / 1024)
        except (OSError, KeyError, ValueError):
            continue
    return max(peaks)
