"""SIGKILL in mid-run: of the streaming job, the batch loop and the broker; then everything is still proved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from caudal.lake import Lake
from schemas.manifest import load_current
from tests.e2e.conftest import FEWER, Delivered
from tests.support.install import Install

pytestmark = [pytest.mark.e2e, pytest.mark.spark, pytest.mark.kafka, pytest.mark.timeout(1200)]

# Silver may be minutes behind after a kill on a slow machine; verify waits for it as long as it must.
PATIENT = {"CAUDAL_SERVING__VERIFY_WAIT_S": "200"}
# New gold is that of the live group here; the full one has most of the marts and would only take the cores.
RESTING = {"CAUDAL_BATCH__FULL_AFTER_S": "3600", "CAUDAL_BATCH__FULL_EVERY": "1000"}
STAGES = ("streaming", "batch", "scorer", "web")


@pytest.fixture(scope="module")
def install(delivered: Delivered) -> Iterator[Install]:
    """The demo goes on where it once ended, playing at a third of its speed; every stage is ready."""
    running = Install(delivered.data, FEWER | PATIENT | RESTING).start("demo", "--rate", "0.3")
    try:
        running.until(lambda: running.ready(*STAGES), "every stage")
        yield running
    finally:
        running.stop()


def published(install: Install) -> int:
    """The number of the manifest that readers see."""
    manifest = load_current(Lake.open(install.settings))
    return manifest.number if manifest else 0


def test_killed_processes_come_back_and_go_on(install: Install) -> None:
    """Streaming and batch, then the broker: each is replaced by a new one, and new events reach silver and gold."""
    killed(install, "streaming", "batch")
    # The counters of a new process start at zero, so what they reach is new work.
    install.until(lambda: install.rows("silver") > 0, "new rows in silver")
    killed(install, "kafka")
    silver, gold = install.rows("silver"), published(install)
    install.until(lambda: install.rows("silver") > silver, "new rows in silver after the broker")
    install.until(lambda: published(install) > gold, "new gold")


def killed(install: Install, *names: str) -> None:
    """SIGKILL, a new process each, and it says that it works."""
    pids = {name: install.kill(name) for name in names}
    install.until(lambda: all(install.child(name)["pid"] != pid for name, pid in pids.items()), f"a new {names}")
    install.until(lambda: install.ready(*names), f"{names} ready")


def test_everything_is_proved_after_the_kills(install: Install) -> None:
    """`caudal verify` holds on the running install that lost three processes."""
    code, verdict = install.verb("verify")
    broken = [check for check in verdict["checks"] if not check["ok"]]
    assert (code, broken) == (0, [])
    assert {check["invariant"] for check in verdict["checks"]} == {1, 2, 3, 4, 5, 6, 7}


def test_status_shows_what_happened(install: Install) -> None:
    """Restarts of the killed processes are counted where an operator looks."""
    code, status = install.verb("status")
    assert code == 0
    restarted = {process["name"] for process in status["processes"] if process["restarts"] > 0}
    assert {"streaming", "batch", "kafka"} <= restarted


def test_down_leaves_no_process(install: Install, tmp_path: Path) -> None:
    """`caudal down` from another terminal ends every process of the install."""
    pids = [install.child(name)["pid"] for name in ("kafka", "streaming", "batch", "scorer", "web", "simulate")]
    code, _ = install.verb("down")
    assert code == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
