"""A full disk stops streaming with an alarm; once there is space again it goes on by itself, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from caudal.alerts import recent
from caudal.settings import Settings
from schemas import apply
from schemas.contract import Catalog
from schemas.distribution import ContractFeed
from streaming.verify import checks
from tests.support import contracts
from tests.support.stream_process import covered, end, send, start

pytestmark = [pytest.mark.spark, pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def small_disk(settings: Settings) -> Iterator[Path]:
    """The lake's folder on a file system of 64 MB."""
    lake = settings.data_dir / "lake"
    lake.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", lake], check=False).returncode != 0:
        pytest.skip("a file system of its own cannot be mounted here: that takes root")
    try:
        yield lake
    finally:
        subprocess.run(["umount", "-l", lake], check=True)


def until(condition: Callable[[], bool], alive: subprocess.Popen[bytes], what: str, seconds: float = 240) -> None:
    """Wait for a condition while the process lives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert alive.poll() is None, f"the process ended while {what} was waited for"
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.2)


def fill(folder: Path) -> Path:
    """A file that takes all space that is left."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            return ballast


def test_a_full_disk_is_an_alarm_and_no_loss(settings: Settings, small_disk: Path, tmp_path: Path) -> None:
    """Records that arrive while there is no space wait in Kafka or raw, the process lives, and they land later."""
    contract = contracts.make(tmp_path / "contracts", (), id=f"full{uuid.uuid4().hex[:8]}.thing")
    settings = settings.with_(
        contracts_dir=tmp_path / "contracts", schemas={"contracts_topic": f"contracts.{settings.data_dir.parent.name}"}
    )
    [applied] = apply.apply(settings, Catalog({contract.id: contract}))
    assert applied.error is None
    feed = ContractFeed(settings)
    one = feed.read_to_end()[contract.id]
    feed.close()
    send(settings, one, range(10))
    process = start(settings, tmp_path / "crash", None)
    try:
        until(lambda: covered(settings, one) == 10, process, "the first records")
        ballast = fill(small_disk)
        send(settings, one, range(10, 30))
        until(
            lambda: "CDL-DISK-FULL" in {a["code"] for a in recent(settings.run_dir / "alerts.jsonl")},
            process,
            "the alarm",
        )
        assert covered(settings, one) == 10
        ballast.unlink()
        until(lambda: covered(settings, one) == 30, process, "what waited")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(120) == 0
    finally:
        end(process)
    assert [(check.ok, check.findings) for check in checks(settings)] == [(True, ())] * 2
