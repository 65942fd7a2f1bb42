"""Finds and ends what a killed supervisor left behind, JVMs included.

On Linux every process below a supervisor carries the install's id in its environment, however often it forked and
whatever group it moved to. The recorded process ids count as well, as long as the start time still fits: elsewhere
environments cannot be read, and a server that renames itself overwrites its own.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from caudal.lease import holder
from caudal.local import record
from caudal.local.child import INSTALL_ID

if TYPE_CHECKING:
    import psutil

# Seconds that left-behind processes get to end in order: a JVM in the middle of a commit needs a few.
GRACE_S = 8.0


def end(run_dir: Path, *, grace_s: float | None = None) -> list[str]:
    """End every process of this install but the caller and those it descends from; their names.

    The caller must hold the install's lease, or know that nobody does.
    """
    import psutil

    grace_s = GRACE_S if grace_s is None else grace_s
    found = list(find(run_dir))
    names = [_name(process) for process in found]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(found, timeout=grace_s)
    # Again by mark: one that was ending may have started another.
    deadline = time.monotonic() + 10
    while (alive := [*alive, *find(run_dir)]) and time.monotonic() < deadline:
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        _, alive = psutil.wait_procs(alive, timeout=2)
    return names


def end_if_alone(run_dir: Path) -> list[str]:
    """The same when no supervisor runs on this data folder, else nothing."""
    return [] if holder(run_dir / record.LEASE) else end(run_dir)


def find(run_dir: Path) -> Iterator[psutil.Process]:
    """Living processes of this install, without the caller and its ancestors."""
    import psutil

    own = {os.getpid(), *(p.pid for p in psutil.Process().parents())}
    path = run_dir / "install_id"
    if not path.exists():
        return
    marked = _marked(record.install_id(run_dir)) if sys.platform == "linux" else iter(())
    for process in (*marked, *_recorded(run_dir)):
        if process.pid not in own:
            own.add(process.pid)
            yield process


def _marked(install: str) -> Iterator[psutil.Process]:
    import psutil

    mark = f"{INSTALL_ID}={install}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # Zombies have no environment left, other users' processes none that we may read.
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                yield psutil.Process(int(entry.name))
        except (OSError, psutil.Error):
            continue


def _recorded(run_dir: Path) -> Iterator[psutil.Process]:
    import psutil

    for known in record.read(run_dir / "processes.json").get("children", {}).values():
        with contextlib.suppress(psutil.Error, KeyError, TypeError):
            process = psutil.Process(int(known["pid"]))
            if abs(process.create_time() - float(known["born"])) < 1.0 and process.status() != psutil.STATUS_ZOMBIE:
                yield from process.children(recursive=True)
                yield process


def _name(process: psutil.Process) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        command = process.cmdline()
        if "run" in command[-3:-1]:
            return command[-1]
        named = [part for part in command if part.startswith(("kafka.", "org.apache.spark"))]
        return f"{process.name()} {named[0]}" if named else process.name()
    return str(process.pid)
