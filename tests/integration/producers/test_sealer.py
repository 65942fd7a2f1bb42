"""The sealer on a real broker: in clear on `in.*`, sealed on the contract's topic, each record exactly once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from caudal.settings import Settings, environment, load
from producers.encode import decode
from producers.settings import ProducersSettings
from schemas.apply import apply, first_error
from schemas.contract import Contract
from schemas.load import load_catalog
from tests.support import contracts
from tests.support.change_contracts import FIELDS, YAML
from tests.support.release import REJECTED
from tests.support.sealing import sealing
from tests.support.topic import read

pytestmark = pytest.mark.kafka
EMAIL = "maria.silva@example.com"
SOURCE = {"name": "bank", "db": "core", "table": "rows", "connector": "postgresql", "ts_ms": 1_767_614_400_000}


@pytest.fixture
def contract(settings: Settings, tmp_path: Path) -> Contract:
    """A cdc contract of this test alone whose producers write in clear, released on the session's servers."""
    name = f"tests.row{uuid.uuid4().hex[:10]}"
    contracts.write(settings.contracts_dir, FIELDS, id=name, yaml=YAML + "ingress: plaintext\n", name="Row")
    catalog = load_catalog(settings.contracts_dir)
    assert first_error(apply(settings, catalog, only={name, "caudal.rejected"})) is None
    return catalog[name]


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """The install's settings with contracts and a consumer group of this test's own."""
    folder = tmp_path / "contracts"
    folder.joinpath("caudal").mkdir(parents=True)
    folder.joinpath("caudal", "rejected").symlink_to(REJECTED)
    own = {"sealer_group": f"sealer-{uuid.uuid4().hex}", "sealer_records": 4, "sealer_tenants": {"bank": "t1"}}
    return settings.with_(contracts_dir=folder, producers=own)


def _own(settings: Settings) -> dict[str, Any]:
    own = settings.section("producers", ProducersSettings)
    return {name: getattr(own, name) for name in ("sealer_group", "sealer_records", "sealer_tenants")}


def envelope(op: str, lsn: int, row: dict[str, Any] | None = None) -> bytes:
    told: dict[str, Any] = {"op": op, "source": {**SOURCE, "lsn": lsn}, "before": None, "after": None}
    if row is not None:
        told["before" if op == "d" else "after"] = row
    return json.dumps({"schema": None, "payload": told}).encode()


def write(settings: Settings, contract: Contract, *values: bytes | None) -> None:
    """Records under one key, so that their order is kept."""
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap})
    for value in values:
        producer.produce(contract.plaintext_topic, key=b'{"thing_id": 1}', value=value)
    assert producer.flush(30) == 0


def arrived(settings: Settings, topic: str, n: int) -> list[Message]:
    """The first `n` committed records of a topic, and any that come within a second after them."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap,
            "group.id": str(uuid.uuid4()),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    try:
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        found: list[Message] = []
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            message = consumer.poll(1.0)
            if message is None and len(found) >= n:
                break
            if message is not None and message.error() is None:
                found.append(message)
        return sorted(found, key=lambda m: (m.partition(), m.offset()))
    finally:
        consumer.close()


def refused_of(settings: Settings, contract: Contract, n: int) -> list[Message]:
    """What was refused of a contract, once there are `n` of it."""
    limit = time.monotonic() + 60
    while True:
        found = read(settings.kafka.bootstrap, "caudal.rejected")
        mine = [m for m in found if contract.id.encode() in (m.value() or b"")]
        if len(mine) >= n or time.monotonic() > limit:
            return mine
        time.sleep(0.5)


def test_envelopes_become_sealed_changes(settings: Settings, contract: Contract) -> None:
    """Create, update, delete, its tombstone and a truncate; what is none of these is kept, sealed, as refused."""
    row = {"thing_id": 1, "a": "1", "b": EMAIL}
    write(
        settings,
        contract,
        envelope("c", 10, row),
        envelope("u", 11, {**row, "a": "2", "new_column": True}),
        envelope("d", 12, {"thing_id": 1}),
        None,
        envelope("m", 13),
        envelope("t", 14),
        b"\xffnothing that anybody could read",
        json.dumps({"schema": {"fields": [{"field": "after", "fields": ["x"]}]}, "payload": {"op": "c"}}).encode(),
        b"[" * 100_000,
        envelope("u", 15, {"a": EMAIL}),
    )
    with sealing(settings):
        messages = arrived(settings, contract.topic, 4)
        refused = refused_of(settings, contract, 4)
    assert not any(EMAIL.encode() in (m.value() or b"") for m in messages)
    created, updated, deleted, truncated = sorted(messages, key=_place)
    first, second, last = (decode(m.value() or b"", contract.latest.wire)[1] for m in (created, updated, truncated))
    assert (first["_op"], first["_sequence"], first["thing_id"], first["tenant_id"]) == ("c", 10, "1", "t1")
    assert first["b"]["mask"] == "ma***@example.com"
    assert (first["_source"], second["a"]) == ("bank.core.rows", "2")
    assert first["event_id"] != second["event_id"]
    assert deleted.value() is None
    assert dict(deleted.headers() or [])["caudal-sequence"] == b"[12]"
    assert json.loads(created.key() or b"") == json.loads(deleted.key() or b"") == ["t1", "1"]
    assert (last["_op"], last["tenant_id"]) == ("t", "t1")

    assert len(refused) == 4
    assert not any(EMAIL.encode() in (m.value() or b"") for m in refused)


def _place(message: Message) -> int:
    headers = dict(message.headers() or [])
    if message.value() is None:
        found: int = json.loads(headers["caudal-sequence"])[0]
        return found
    return int(_wire(message)["_sequence"])


def _wire(message: Message) -> dict[str, Any]:
    # Every test's contract has the same fields, whatever it is called.
    return dict(decode(message.value() or b"", _WIRE)[1])


_WIRE: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _known(contract: Contract) -> None:
    _WIRE.clear()
    _WIRE.update(contract.latest.wire)


def test_a_death_before_the_commit_moves_nothing_twice(settings: Settings, contract: Contract, tmp_path: Path) -> None:
    """Killed with a transaction open, in its second batch; its successor moves the rest, and readers see each once."""
    write(settings, contract, *(envelope("c", n, {"thing_id": 1, "a": str(n), "b": EMAIL}) for n in range(1, 11)))
    died = tmp_path / "died"
    given = load(
        {
            "data_dir": str(settings.data_dir),
            "kafka.bootstrap": settings.kafka.bootstrap,
            "registry.url": settings.registry.url,
            **{f"producers.{name}": value for name, value in _own(settings).items()},
        }
    )
    crash = {"CAUDAL_CRASHPOINT": "sealer.produced:2", "CAUDAL_CRASH_DIR": str(died)}
    env = {**os.environ, **environment(given), **crash}
    child = subprocess.Popen(
        [sys.executable, "-m", "caudal.cli.main", "run", "sealer"], env=env, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.wait(90) == -9
    assert (died / "sealer.produced").exists()
    with sealing(settings):
        messages = arrived(settings, contract.topic, 10)
    assert [_place(m) for m in sorted(messages, key=_place)] == list(range(1, 11))
