"""Stops the install of a data folder from outside, and leaves no process."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from caudal.lease import holder
from caudal.local import orphans, record
from caudal.settings import Settings

# The slowest order: stages 25 s side by side, then four servers one after the other.
PATIENCE_S = 90.0
_POLL_S = 0.2


@dataclass(frozen=True)
class Stopped:
    """What was ended: the supervisor that ran (its pid), whether it had to be killed, and processes left behind."""

    supervisor: int | None
    killed: bool
    left_behind: tuple[str, ...]


def down(settings: Settings, *, patience_s: float = PATIENCE_S, say: Callable[[str], None] = lambda _: None) -> Stopped:
    """Ask the supervisor of this data folder to stop, wait, kill it after `patience_s`; then end what is left."""
    lease = settings.run_dir / record.LEASE
    running = holder(lease)
    killed = False
    if running is not None:
        say(f"stopping the install of {settings.data_dir} (supervisor {running.pid})")
        _signal(running.pid, signal.SIGTERM)
        if not _gone(settings, running.pid, patience_s):
            killed = True
            _signal(running.pid, signal.SIGKILL)
            _gone(settings, running.pid, 10.0)
    left = orphans.end_if_alone(settings.run_dir)
    record.forget_endpoints(settings.run_dir)
    return Stopped(running.pid if running else None, killed, tuple(left))


def _gone(settings: Settings, pid: int, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        # It gives the lease back a moment before it ends.
        now = holder(settings.run_dir / record.LEASE)
        if (now is None or now.pid != pid) and not _runs(pid):
            return True
        time.sleep(_POLL_S)
    return False


def _runs(pid: int) -> bool:
    import psutil

    try:
        # One that nobody has waited for yet runs no more.
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
