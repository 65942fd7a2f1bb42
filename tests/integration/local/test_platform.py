"""A real install of broker, registry and feature store: side by side, killed, restarted, and through the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from caudal.local import orphans, record
from caudal.local.plan import local_plan
from caudal.local.supervisor import Supervisor
from caudal.metrics import read_all
from caudal.settings import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("java")]
ROOT = Path(__file__).parents[3]

PROGRAM = """
import sys
from caudal.local.plan import local_plan
from caudal.local.supervisor import Supervisor
from caudal.settings import load
settings = load({"data_dir": sys.argv[1]})
supervisor = Supervisor(settings, local_plan(settings, stages=(), contracts=False))
with supervisor.signals(), supervisor:
    supervisor.start()
    supervisor.wait()
"""


def install(folder: Path) -> Supervisor:
    """Servers only, on a data folder."""
    settings = Settings(data_dir=folder)
    return Supervisor(settings, local_plan(settings, stages=(), contracts=False))


def topics(supervisor: Supervisor) -> set[str]:
    admin = AdminClient({"bootstrap.servers": supervisor.settings.kafka.bootstrap})
    return {name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")}


def make_topic(bootstrap: str, name: str) -> None:
    # The client must outlive its answer.
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(15)


def alive(*found: int) -> list[int]:
    return [pid for pid in found if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def port(bootstrap: str) -> int:
    return int(bootstrap.rpartition(":")[2])


def pids(folder: Path) -> list[int]:
    return [int(c["pid"]) for c in record.read(folder / "run" / "processes.json")["children"].values()]


def test_two_installs_run_side_by_side(tmp_path: Path) -> None:
    """Two data folders have their own ports, brokers and topics, and stopping one leaves the other alone."""
    with install(tmp_path / "one") as one, install(tmp_path / "two") as two:
        assert one.start()
        assert two.start()
        mine, other = ({s.url for s in supervisor.states()} for supervisor in (one, two))
        assert len(mine) == 3
        assert not mine & other
        make_topic(one.settings.kafka.bootstrap, "only.one")
        assert (topics(one), topics(two)) == ({"only.one"}, set())
        one.stop()
        assert not alive(*pids(tmp_path / "one"))
        assert topics(two) == set()
        assert [s.state for s in two.states()] == ["ready"] * 3


def test_a_killed_install_is_cleaned_up_and_its_data_is_there(tmp_path: Path) -> None:
    """After kill -9 of the supervisor the next start ends the old broker's JVM, takes its port, and has its topics."""
    folder = tmp_path / "data"
    outside = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], cwd=ROOT, env={**os.environ})
    try:
        deadline = time.monotonic() + 90
        while not any(s.ready for s in read_all(folder / "run" / "metrics")):
            assert time.monotonic() < deadline
            assert outside.poll() is None
            time.sleep(0.1)
        bootstrap = record.read(folder / "run" / "endpoints.json")["settings"]["kafka"]["bootstrap"]
        make_topic(bootstrap, "kept")
        left = pids(folder)
        outside.send_signal(signal.SIGKILL)
        outside.wait()
        assert all(psutil.pid_exists(pid) for pid in left)
        with install(folder) as again:
            assert not alive(*left)
            assert again.start()
            # The first free port counts from the same number: an orphan on the old one would have pushed it up.
            assert port(again.settings.kafka.bootstrap) <= port(bootstrap)
            assert topics(again) == {"kept"}
    finally:
        outside.kill()
        outside.wait()
        orphans.end_if_alone(folder / "run")


def caudal(*arguments: str, code: int = 0) -> dict[str, Any]:
    """Run the command with JSON output; its answer."""
    done = subprocess.run(
        [sys.executable, "-m", "caudal.cli.main", *arguments, "-o", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == code, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_the_verbs_start_show_and_stop_an_install(tmp_path: Path) -> None:
    """`up --detach` returns with everything running and contracts applied; `down` leaves no process."""
    folder = tmp_path / "data"
    data = ("--data", str(folder))
    assert caudal("status", *data, code=6)["running"] is False
    try:
        up = caudal("up", *data, "--detach", "--stages", "none")
        status = caudal("status", *data)
        assert (status["running"], status["supervisor"]) == (True, up["supervisor"])
        assert {p["name"]: p["state"] for p in status["processes"]} == {
            "kafka": "ready",
            "registry": "ready",
            "valkey": "ready",
        }
        assert (
            "commerce.order" in AdminClient({"bootstrap.servers": up["urls"]["kafka"]}).list_topics(timeout=10).topics
        )
        assert any("Kafka Server started" in line for line in caudal("logs", "kafka", "-n", "500", *data)["lines"])
        assert caudal("up", *data, "--stages", "none", code=3)["error"]["code"] == "CDL-ALREADY-UP"
        known = pids(folder)
    finally:
        down = caudal("down", *data)
    assert (down["was_running"], down["killed"], down["left_behind"]) == (True, False, [])
    assert not alive(*known, up["supervisor"])
    assert caudal("down", *data)["was_running"] is False


def test_doctor_finds_this_machine_fit(tmp_path: Path) -> None:
    """Every check has a verdict, and each that is not fine has one fix."""
    answer = caudal("doctor", "--data", str(tmp_path))
    assert {"Python 3.11 to 3.13", "jars of kafka", "pyspark 4.1.1"} <= {c["check"] for c in answer["checks"]}
    assert all(c["fix"] for c in answer["checks"] if c["level"] != "ok")
