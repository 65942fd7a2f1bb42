"""SIGKILL in mid-run: of the streaming job, the batch loop and the broker; then everything is still proved."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from caudal.lake import Lake
from schemas.manifest import load_current
from tests.support.install import Install

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.spark, pytest.mark.kafka, pytest.mark.timeout(1200)]

MARKS = ("first_raw", "first_silver", "first_gold", "first_decision")


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """The demo, playing at a third of its speed, once every stage has delivered."""
    running = Install(tmp_path_factory.mktemp("install") / "data").start("demo", "--rate", "0.3")
    try:
        running.until(lambda: all(running.mark(name) for name in MARKS), "every stage", timeout=420)
        yield running
    finally:
        running.stop()


def published(install: Install) -> int:
    """The number of the manifest that readers see."""
    manifest = load_current(Lake.open(install.settings))
    return manifest.number if manifest else 0


@pytest.mark.parametrize("name", ["streaming", "batch", "kafka"])
def test_a_killed_process_comes_back_and_goes_on(install: Install, name: str) -> None:
    """A killed process is replaced by a new one, and new events reach silver and gold again."""
    pid = install.kill(name)
    install.until(lambda: install.child(name)["pid"] != pid, f"a new {name}")
    install.until(lambda: install.child(name)["state"] == "ready", f"{name} ready")
    # The counters of a new process start at zero, so what they reach is new work.
    silver, gold = (0 if name == "streaming" else install.rows("silver")), published(install)
    install.until(lambda: install.rows("silver") > silver, "new rows in silver")
    install.until(lambda: published(install) > gold, "new gold")


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
