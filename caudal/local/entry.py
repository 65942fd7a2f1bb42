"""One child of a supervisor with how it fares, and the order in which many start and stop."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from caudal.local import record
from caudal.local.child import Child, Item, Running

# Seconds before the first restart of a child that crashed.
FIRST_BACKOFF_S = 1.0


@dataclass
class Entry:
    """One child and how it fares. `state`: starting, ready, restarting, ended, stopped."""

    child: Child
    running: Running
    state: str = "starting"
    # True while `start` itself waits for it; the watcher leaves it alone.
    awaited: bool = True
    restarts: int = 0
    backoff_s: float = FIRST_BACKOFF_S
    again_at: float = 0.0
    late: bool = False


@dataclass(frozen=True)
class State:
    """How one child fares, for people."""

    name: str
    state: str
    pid: int
    restarts: int
    url: str


def start_waves(plan: Sequence[Item]) -> list[list[Item]]:
    """The start's order: servers next to each other know nothing of one another and start side by side."""
    waves: list[list[Item]] = []
    for item in plan:
        last = waves[-1][-1] if waves else None
        if isinstance(item, Child) and isinstance(last, Child) and item.wait and last.wait:
            waves[-1].append(item)
        else:
            waves.append([item])
    return waves


def stop_waves(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The stop's order: reversed; neighbours that nothing waits for end side by side."""
    waves: list[list[Entry]] = []
    for entry in reversed(entries):
        if waves and not entry.child.wait and not waves[-1][-1].child.wait:
            waves[-1].append(entry)
        else:
            waves.append([entry])
    return waves


def write(run_dir: Path, entries: Sequence[Entry]) -> None:
    """Record pid, start time, state, ports and log of each child, for `caudal status` and for finding orphans."""
    children = {
        e.child.name: {
            "pid": e.running.pid,
            "born": e.running.born,
            "state": e.state,
            "restarts": e.restarts,
            "ports": dict(e.child.ports),
            "url": e.child.url,
            "log": str(e.running.log),
        }
        for e in entries
    }
    known = {"install": record.install_id(run_dir), "at": time.time(), "children": children}
    record.write(run_dir / "processes.json", json.dumps(known, indent=1))
