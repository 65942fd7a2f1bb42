"""The streaming process is killed at a named point, JVM and all; the next one goes on, and verify holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from caudal import settings as configuration
from caudal.lake import Lake
from caudal.settings import Settings
from schemas import apply, topics
from schemas.contract import Catalog
from schemas.distribution import ContractFeed, Released
from streaming import positions
from streaming.verify import checks
from tests.support import contracts
from tests.support.wire_records import framed, key_of, record

pytestmark = [pytest.mark.spark, pytest.mark.kafka]
ROOT = Path(__file__).resolve().parents[3]
# Far above what it takes, for machines that are busy with other things.
DEADLINE_S = 600.0
# In the everyday suite one kill where most is at stake; the others run with the slow ones.
POINTS = [
    "after-silver",
    *(pytest.param(p, marks=pytest.mark.slow) for p in ("after-read", "after-raw", "mid-silver", "before-checkpoint")),
]


def start(settings: Settings, crash: Path, point: str | None) -> subprocess.Popen[bytes]:
    """`caudal run streaming` as the supervisor starts it: its own process group."""
    environment = {
        **os.environ,
        **configuration.environment(settings),
        "CAUDAL_DATA_DIR": str(settings.data_dir),
        "CAUDAL_CONTRACTS_DIR": str(settings.contracts_dir),
        "CAUDAL_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "CAUDAL_REGISTRY__URL": settings.registry.url,
        "CAUDAL_SCHEMAS__CONTRACTS_TOPIC": f"contracts.{settings.data_dir.parent.name}",
        "CAUDAL_CRASH_DIR": str(crash),
        "PYTHONPATH": str(ROOT),
    }
    if point:
        environment["CAUDAL_CRASHPOINT"] = f"{point}:1"
    log = (settings.data_dir.parent / "streaming.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "caudal.cli.main", "run", "streaming"],
        env=environment, cwd=settings.data_dir.parent, stderr=log, stdout=log, start_new_session=True,
    )  # fmt: skip


def send(settings: Settings, one: Released, ids: range) -> None:
    producer = Producer(topics.client_conf(settings))
    for i in ids:
        value = record(one.contract, event_id=f"e{i}", tenant_id="t")
        producer.produce(one.contract.topic, key=key_of(one.contract, value), value=framed(one, value))
    assert producer.flush(30) == 0


def covered(settings: Settings, one: Released) -> int:
    lake = Lake.open(settings)
    if not lake.has_table("silver", one.contract.table):
        return 0
    at = positions.silver_position(lake, one.contract.table, -1)
    return sum(line.read for _, commit in at.unflushed for line in commit.lines)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_loses_and_doubles_nothing(settings: Settings, tmp_path: Path, point: str) -> None:
    """Dies at the point with work pending, as its marker shows; the restarted process finishes it exactly once."""
    contract = contracts.make(tmp_path / "contracts", (), id=f"kill{uuid.uuid4().hex[:8]}.thing")
    settings = settings.with_(
        contracts_dir=tmp_path / "contracts", schemas={"contracts_topic": f"contracts.{settings.data_dir.parent.name}"}
    )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    [applied] = apply.apply(settings, Catalog({contract.id: contract}))
    assert applied.error is None
    feed = ContractFeed(settings)
    one = feed.read_to_end()[contract.id]
    feed.close()
    send(settings, one, range(20))
    crash = tmp_path / "crash"
    victim = start(settings, crash, point)
    try:
        assert victim.wait(DEADLINE_S) == -signal.SIGKILL
    finally:
        _end(victim)
    assert (crash / point).exists()
    send(settings, one, range(15, 30))

    survivor = start(settings, crash, None)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while covered(settings, one) < 35:
            assert survivor.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.kill(survivor.pid, signal.SIGTERM)
        assert survivor.wait(120) == 0
    finally:
        _end(survivor)
    found = checks(settings)
    assert [(check.ok, check.findings) for check in found] == [(True, ())] * 2
    assert "applied 30, duplicate 5" in found[0].detail


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the process group outlives the test."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(30)
