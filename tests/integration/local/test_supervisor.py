"""The supervisor starts in order, restarts what crashes, stops at any time, and finds what a killed one left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from caudal.local import orphans, record
from caudal.local.child import Child, Item, Step
from caudal.local.down import down
from caudal.local.errors import AlreadyUp, StartError
from caudal.local.supervisor import Supervisor
from caudal.metrics import read_all
from caudal.settings import Settings, load
from tests.support import children

# A supervisor in a process of its own, so that it can be killed. argv: data folder.
PROGRAM = """
import sys, pathlib
from caudal.settings import load
from caudal.local.supervisor import Supervisor
from tests.support import children
settings = load({"data_dir": sys.argv[1]})
folder = settings.data_dir
supervisor = Supervisor(settings, [children.stubborn(folder, "stubborn"), children.good(folder, "good")])
with supervisor.signals(), supervisor:
    supervisor.start()
    supervisor.wait()
"""


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for a condition, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.05)


@pytest.fixture
def data(offline_settings: Settings) -> Path:
    """An empty data folder."""
    offline_settings.data_dir.mkdir(parents=True)
    return offline_settings.data_dir


@pytest.fixture
def supervise(offline_settings: Settings) -> Iterator[Callable[..., Supervisor]]:
    """Builds supervisors that are stopped at the end, whatever happens."""
    built: list[Supervisor] = []

    def build(*plan: Item, settings: Settings = offline_settings) -> Supervisor:
        built.append(Supervisor(settings, plan))
        return built[-1]

    yield build
    for supervisor in built:
        supervisor.stop()


def alive(supervisor: Supervisor) -> list[int]:
    return [state.pid for state in supervisor.states() if psutil.pid_exists(state.pid)]


def test_children_start_in_order_and_stop_in_reverse(supervise: Callable[..., Supervisor], data: Path) -> None:
    """A step between two children finds the first one ready and the second one not begun; the stop goes backwards."""
    seen: list[tuple[bool, bool]] = []

    def look(settings: Settings, stop: threading.Event) -> None:
        seen.append(((data / "first.ready").exists(), (data / "second.ready").exists()))

    supervisor = supervise(children.good(data, "first"), Step("look", look), children.good(data, "second"))
    assert supervisor.start()
    assert seen == [(True, False)]
    assert [(s.name, s.state) for s in supervisor.states()] == [("first", "ready"), ("second", "ready")]
    pids = alive(supervisor)
    assert len(pids) == 2
    supervisor.stop()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    ended = [(data / f"{name}.ended").stat().st_mtime_ns for name in ("second", "first")]
    assert ended == sorted(ended)


def test_what_children_give_reaches_settings_and_processes(supervise: Callable[..., Supervisor], data: Path) -> None:
    """Endpoints stand in the file that every verb reads, in the environment of children, and go when all is stopped."""
    told = data / "told"
    server = children.good(data, "server", gives={"kafka.bootstrap": "127.0.0.1:7777"})
    program = f"import os; open({str(told)!r}, 'w').write(os.environ['CAUDAL_KAFKA__BOOTSTRAP'])"
    reader = Child("reader", (sys.executable, "-c", program), wait=False, restart=False)
    supervisor = supervise(server, reader)
    supervisor.start()
    until(lambda: told.exists() and told.read_text())
    assert told.read_text() == "127.0.0.1:7777" == supervisor.settings.kafka.bootstrap
    found = load({"data_dir": str(data)}, environ={})
    assert (found.kafka.bootstrap, found.origin("kafka.bootstrap")) == ("127.0.0.1:7777", "running install")
    assert (data / "run" / "endpoints.json").stat().st_mode & 0o077 == 0
    supervisor.stop()
    assert load({"data_dir": str(data)}, environ={}).kafka.bootstrap != "127.0.0.1:7777"


def test_a_killed_child_comes_back(supervise: Callable[..., Supervisor], data: Path) -> None:
    """A child that is killed starts again, is counted, and everybody can see that it did."""
    supervisor = supervise(children.good(data, "server"))
    supervisor.start()
    before = supervisor.states()[0].pid
    supervisor.kill("server")
    until(lambda: supervisor.states()[0].restarts == 1 and supervisor.states()[0].state == "ready")
    assert supervisor.states()[0].pid != before
    counted = {
        (c.name, c.labels.get("process")): c.value
        for c in [c for s in read_all(data / "run" / "metrics") for c in s.counters]
    }
    assert counted[("caudal_restarts_total", "server")] == 1
    assert "CDL-CRASH" in (data / "run" / "alerts.jsonl").read_text()


def test_a_child_that_may_end_is_not_restarted(supervise: Callable[..., Supervisor], data: Path) -> None:
    """Finite work ends once."""
    supervisor = supervise(Child("once", (sys.executable, "-c", "pass"), wait=False, restart=False))
    supervisor.start()
    until(lambda: supervisor.states()[0].state == "ended")
    assert supervisor.states()[0].restarts == 0


def test_a_failed_start_stops_everything_and_says_why(supervise: Callable[..., Supervisor], data: Path) -> None:
    """When a child ends before it is ready the error holds its last words, and nothing goes on running."""
    supervisor = supervise(children.good(data, "fine"), Step("pause", lambda s, e: None), children.broken(data, "bad"))
    with pytest.raises(StartError) as error:
        supervisor.start()
    assert "no such thing as a free port" in error.value.why
    assert not alive(supervisor)
    assert not supervisor.running()


def test_a_child_that_never_gets_ready_runs_out_of_time(supervise: Callable[..., Supervisor], data: Path) -> None:
    """The error names what was waited for."""
    with pytest.raises(StartError, match="its mark"):
        supervise(children.mute(data, "mute", ready_s=0.5)).start()


def test_a_stop_during_the_start_is_clean(supervise: Callable[..., Supervisor], data: Path) -> None:
    """Asked to stop while a child is not ready yet, the start returns and no process is left."""
    supervisor = supervise(children.good(data, "first"), Step("s", lambda s, e: None), children.mute(data, "mute", 60))
    threading.Timer(0.0, lambda: (until(lambda: len(supervisor.states()) == 2), supervisor.request_stop())).start()
    assert not supervisor.start()
    supervisor.stop()
    assert not alive(supervisor)


def test_a_second_request_hurries(supervise: Callable[..., Supervisor], data: Path) -> None:
    """A child that hears no SIGTERM is killed at once when the stop is asked for twice."""
    supervisor = supervise(children.stubborn(data, "deaf", ready_s=20.0))
    supervisor.start()
    supervisor.request_stop()
    supervisor.request_stop()
    supervisor.stop()
    assert not alive(supervisor)


def test_a_stop_ends_what_children_started_elsewhere(supervise: Callable[..., Supervisor], data: Path) -> None:
    """A process in a session of its own, started by a child, is gone too."""
    supervisor = supervise(children.stubborn(data, "parent"))
    supervisor.start()
    until(lambda: (data / "parent.ready").read_text())
    below = int((data / "parent.ready").read_text())
    supervisor.stop()
    until(lambda: not psutil.pid_exists(below), 5)


def test_one_supervisor_per_data_folder(supervise: Callable[..., Supervisor], data: Path) -> None:
    """A second one on the same folder is refused and disturbs nothing."""
    first = supervise(children.good(data, "server"))
    first.start()
    with pytest.raises(AlreadyUp) as error:
        supervise(children.good(data, "other")).start()
    assert str(os.getpid()) in error.value.why
    assert len(alive(first)) == 1


def test_memory_is_measured_with_peaks(supervise: Callable[..., Supervisor], data: Path) -> None:
    """Each child's memory and the peak of the sum stand in a file while it runs."""
    supervisor = supervise(children.good(data, "server"))
    supervisor.start()
    file = data / "run" / "memory.json"
    until(lambda: record.read(file).get("now", {}).get("server"), 15)
    found = record.read(file)
    assert found["peak"]["server"] >= found["now"]["server"] > 1
    assert found["peak_total"] >= found["peak"]["server"]


@pytest.fixture
def outside(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in another process, with a child that must be killed and one that ends in order."""
    # One of its children hears no SIGTERM: no need to wait long for that.
    monkeypatch.setattr(orphans, "GRACE_S", 1.0)
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(data)], cwd=root, env={**os.environ})
    until(lambda: any(s.ready for s in read_all(data / "run" / "metrics")), 30)
    yield process
    process.kill()
    process.wait()
    orphans.end(data / "run", grace_s=0.1)


def test_a_killed_supervisor_leaves_nothing_for_the_next(
    outside: subprocess.Popen[bytes], supervise: Callable[..., Supervisor], data: Path
) -> None:
    """After kill -9 the next start ends all left-behind processes, grandchildren in other sessions included."""
    left = [int(child["pid"]) for child in record.read(data / "run" / "processes.json")["children"].values()]
    left.append(int((data / "stubborn.ready").read_text()))
    outside.send_signal(signal.SIGKILL)
    outside.wait()
    assert all(psutil.pid_exists(pid) for pid in left)
    supervisor = supervise(children.good(data, "good"))
    supervisor.start()
    until(lambda: not [pid for pid in left if psutil.pid_exists(pid) and pid not in alive(supervisor)], 5)
    assert [state.state for state in supervisor.states()] == ["ready"]


def test_down_stops_from_outside(outside: subprocess.Popen[bytes], data: Path, offline_settings: Settings) -> None:
    """`down` ends the supervisor and every child, and a second `down` finds nothing."""
    pids = [int(child["pid"]) for child in record.read(data / "run" / "processes.json")["children"].values()]
    stopped = down(offline_settings)
    assert (stopped.supervisor, stopped.killed) == (outside.pid, False)
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    assert (data / "good.ended").exists()
    assert down(offline_settings).supervisor is None
    assert not (data / "run" / "endpoints.json").exists()


def test_down_cleans_up_after_a_killed_supervisor(
    outside: subprocess.Popen[bytes], data: Path, offline_settings: Settings
) -> None:
    """Without a supervisor `down` still ends its children."""
    pids = [int(child["pid"]) for child in record.read(data / "run" / "processes.json")["children"].values()]
    outside.kill()
    outside.wait()
    assert len(down(offline_settings).left_behind) >= 2
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def test_processes_are_recorded(supervise: Callable[..., Supervisor], data: Path) -> None:
    """The record names each child with pid, state and log, and the log holds what it said."""
    supervisor = supervise(children.good(data, "server"))
    supervisor.start()
    known = json.loads((data / "run" / "processes.json").read_text())["children"]["server"]
    assert (known["pid"], known["state"]) == (supervisor.states()[0].pid, "ready")
    assert "hello from server" in Path(known["log"]).read_text()
