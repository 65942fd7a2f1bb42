"""The streaming process is killed at a named point, JVM and all; the next one goes on, and verify holds."""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from caudal.settings import Settings
from schemas import apply
from schemas.contract import Catalog
from schemas.distribution import ContractFeed
from streaming.verify import checks
from tests.support import contracts
from tests.support.stream_process import covered, end, send, start, told

pytestmark = [pytest.mark.spark, pytest.mark.kafka]
# Far above what it takes, for machines that are busy with other things.
DEADLINE_S = 600.0
# In the everyday suite one kill where most is at stake; the others run with the slow ones.
OTHERS = ("after-read", "after-raw", "mid-silver", "before-checkpoint", "mid-care")
POINTS = ["after-silver", *(pytest.param(point, marks=pytest.mark.slow) for point in OTHERS)]


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
        end(victim)
    assert (crash / point).exists()
    send(settings, one, range(15, 30))

    survivor = start(settings, crash, None)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while covered(settings, one) < 35:
            assert survivor.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        while sum(told(settings, one.contract.topic).values()) < 35:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.kill(survivor.pid, signal.SIGTERM)
        assert survivor.wait(120) == 0
    finally:
        end(survivor)
    found = checks(settings)
    assert [(check.ok, check.findings) for check in found] == [(True, ())] * 2
    assert "applied 30, duplicate 5" in found[0].detail
