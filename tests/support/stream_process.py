"""The streaming process as the supervisor starts it, and records for one contract."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient

from caudal import settings as configuration
from caudal.lake import Lake
from caudal.settings import Settings
from schemas import topics
from schemas.distribution import Released
from streaming import positions
from tests.support.wire_records import framed, key_of, record

ROOT = Path(__file__).resolve().parents[2]


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment that gives another process these settings."""
    return {
        **os.environ,
        **configuration.environment(settings),
        "CAUDAL_DATA_DIR": str(settings.data_dir),
        "CAUDAL_CONTRACTS_DIR": str(settings.contracts_dir),
        "CAUDAL_KAFKA__BOOTSTRAP": settings.kafka.bootstrap,
        "CAUDAL_REGISTRY__URL": settings.registry.url,
        "CAUDAL_SCHEMAS__CONTRACTS_TOPIC": f"contracts.{settings.data_dir.parent.name}",
        "PYTHONPATH": str(ROOT),
    }


def start(settings: Settings, crash: Path, point: str | None) -> subprocess.Popen[bytes]:
    """`caudal run streaming` as the supervisor starts it: its own process group."""
    environment = {**environment_of(settings), "CAUDAL_CRASH_DIR": str(crash)}
    if point == "mid-care":
        # Two files are enough for it, and at once.
        eager = {"FILES": "2", "LOOK_S": "0.1", "SHARE": "1"}
        environment |= {f"CAUDAL_STREAMING__CARE_{name}": value for name, value in eager.items()}
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


def told(settings: Settings, topic: str) -> dict[int, int]:
    """Where Kafka's own tools see streaming: committed offsets by partition."""
    admin = AdminClient(topics.client_conf(settings))
    group = "caudal.raw.main"
    found = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(20)
    return {place.partition: place.offset for place in found.topic_partitions if place.topic == topic}


def end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the process group outlives the test."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait(30)
