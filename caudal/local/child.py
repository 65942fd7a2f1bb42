"""One process of the platform: how it is described, started in a group of its own, asked and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from caudal.local.errors import StartError
from caudal.settings import Settings

INSTALL_ID = "CAUDAL_INSTALL_ID"
_POLL_S = 0.1


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Child:
    """What the supervisor must know to run one process.

    `ready` returns None once the process does its work, else what it still waits for. `prepare` runs before every
    start, `after` each time it became ready; both may run any number of times. `wait` says whether later children
    wait until this one is ready. `gives` are the settings (dotted path to value) by which others find this process.
    `stop_signal` is how it is asked to end.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = _nothing
    ready: Callable[[], str | None] = lambda: None
    after: Callable[[], None] = _nothing
    ready_s: float = 60.0
    stop_s: float = 15.0
    stop_signal: int = signal.SIGTERM
    wait: bool = True
    restart: bool = True
    cwd: Path | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    url: str = ""
    gives: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Work that the supervisor does itself between two children.

    `work` gets the settings of the running install and an event that is set at the stop. In the `background` it runs
    in a thread and may last until that event.
    """

    name: str
    work: Callable[[Settings, threading.Event], None]
    background: bool = False


Item = Child | Step


class Running:
    """A started child. Its standard output and error go to one file that survives restarts."""

    def __init__(self, child: Child, log: Path, env: Mapping[str, str] | None = None) -> None:
        self.child = child
        self.log = log
        self.started_at = time.time()
        child.prepare()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            # A session of its own: a Ctrl-C in the terminal reaches only the supervisor, which stops in order,
            # and one signal to the group reaches a JVM below a Python process too.
            self.process = subprocess.Popen(
                list(child.command),
                env={**os.environ, **(env or {}), **child.env},
                cwd=child.cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.born = _born(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self.process.poll()

    def wait_ready(self, cancelled: Callable[[], bool] = lambda: False) -> bool:
        """Wait until the child is ready; False when cancelled.

        Raises:
            StartError: it ended, or its time ran out.
        """
        deadline = time.monotonic() + self.child.ready_s
        reason: str | None = "its first sign of life"
        while not cancelled():
            code = self.exit_code()
            if code is not None:
                raise self._failed(f"it ended with code {code}")
            reason = self.child.ready()
            if reason is None:
                return True
            if time.monotonic() > deadline:
                raise self._failed(f"after {self.child.ready_s:.0f} s it still waits for {reason}")
            time.sleep(_POLL_S)
        return False

    def stop(self, hurry: Callable[[], bool] = lambda: False, patience_s: float | None = None) -> None:
        """Ask the child to end, give it its time (cut short when `hurry` says so), then SIGKILL to all that is left.

        `patience_s`: at most so many seconds, where the child's own `stop_s` would be longer.
        """
        alive = self.exit_code() is None
        below = descendants(self.pid) if alive else []
        if alive and not hurry():
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.child.stop_signal)
            allowed = self.child.stop_s if patience_s is None else min(patience_s, self.child.stop_s)
            deadline = time.monotonic() + allowed
            while self.exit_code() is None and time.monotonic() < deadline and not hurry():
                time.sleep(_POLL_S / 2)
        # The group outlives its leader when a JVM hangs; Spark's Python workers have groups of their own.
        signal_group(self.pid, signal.SIGKILL)
        for pid, born in below:
            kill_if_same(pid, born)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)

    def tail(self, lines: int = 12) -> str:
        """The end of its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 16384))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _failed(self, why: str) -> StartError:
        return StartError(
            what=f"{self.child.name} did not become ready",
            where=str(self.log),
            why=f"{why}\n{self.tail()}",
            fix=f"read `caudal logs {self.child.name}`, then `caudal doctor`",
        )


def _born(pid: int) -> float:
    """When the process started, by the system's clock: with the pid it names one process for ever."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return float(psutil.Process(pid).create_time())
    return 0.0


def signal_group(leader: int, number: int) -> None:
    """Send a signal to the group of a child that we started; nothing when it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def descendants(pid: int) -> list[tuple[int, float]]:
    """(pid, start time) of all processes below: Python workers of Spark have groups of their own."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return [(p.pid, p.create_time()) for p in psutil.Process(pid).children(recursive=True)]
    return []


def kill_if_same(pid: int, born: float) -> None:
    """SIGKILL, unless the number has meanwhile gone to another process."""
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - born) < 1.0:
            process.kill()
