"""A command reaches the owner of the tables wherever it is: the running process, or the caller when nobody streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from caudal.errors import CaudalError
from caudal.lake import Lake
from caudal.settings import Settings
from schemas import apply, topics
from schemas.contract import Catalog
from schemas.distribution import ContractFeed
from streaming import letters
from streaming.ask import ask
from streaming.letters import Wanted
from streaming.verify import checks
from tests.support import contracts
from tests.support.stream_process import covered, end, environment_of, send, start

pytestmark = [pytest.mark.spark, pytest.mark.kafka]
DEADLINE_S = 600.0


@pytest.mark.timeout(1500)
def test_a_command_is_answered_by_a_process_or_carried_out_here(settings: Settings, tmp_path: Path) -> None:
    """A replay, a restore, a purge and retention through the running process, whose errors come with their code; then
    a rebuild without one; verify holds, from the beginning and since a batch."""
    contract = contracts.make(tmp_path / "contracts", (), id=f"ask{uuid.uuid4().hex[:8]}.thing")
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
    producer = Producer(topics.client_conf(settings))
    producer.produce(contract.topic, key=b"k", value=b"not ours")
    assert producer.flush(30) == 0
    order = {"contract": contract.id, "by": "ops"}

    process = start(settings, tmp_path / "crash", None)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while covered(settings, one) < 21:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        found = ask(settings, "replay", order, DEADLINE_S)
        assert (found["letters"], found["applied"], found["refused"]) == (1, 0, 1)
        with pytest.raises(CaudalError) as refused:
            ask(settings, "replay", {"contract": "no.such"}, DEADLINE_S)
        assert (refused.value.code, refused.value.exit_code) == ("CDL-USAGE", 2)
        back = ask(settings, "restore", {"contract": contract.id, "to": "0", "by": "ops"}, DEADLINE_S)
        assert back["restored"] == 0
        assert back["undone"] > 0
        who = {"contract": contract.id, "code": "CDL-MAGIC", "by": "ops", "reason": "not ours"}
        assert ask(settings, "purge", who, DEADLINE_S)["records"] == 1
        kept = ask(settings, "retain", {"raw": True}, DEADLINE_S)
        assert ([one["rows"] for one in kept["tables"]], kept["raw"]["records"]) == ([0], 0)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        end(process)

    # A process of its own, as the verb is: it ends its Spark session.
    done = subprocess.run(
        [sys.executable, "-m", "caudal.cli.main", "rebuild", "silver", contract.id, "-o", "json"],
        env=environment_of(settings), capture_output=True, text=True, timeout=DEADLINE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["applied"], set(found["changes"].values())) == (20, {0})
    assert [(g["open"], g["resolved"]) for g in letters.groups(Lake.open(settings), Wanted())] == [(0, 1)]
    proofs = checks(settings)
    assert [(check.ok, check.findings) for check in proofs] == [(True, ())] * 2
    recent = checks(settings, since="2")
    assert [(check.ok, check.findings) for check in recent] == [(True, ())] * 2
    assert recent[0].detail.startswith("from raw batch 2 on: ")
