"""Watching a demo: a live table on a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.table import Table

from caudal.cli.demo.progress import HEADERS, Progress, StageView, as_line, as_rows
from caudal.cli.output import is_terminal, say

TICK_S = 1.0
LINE_S = 5.0
# Questions to the lake cost more than reading metrics, so they are asked at this pace.
ASK_S = 3.0

Wait = Callable[[float], bool]


def until(
    progress: Progress,
    done: Callable[[], bool],
    wait: Wait,
    deadline: float | None,
    each: Callable[[], None] = lambda: None,
) -> bool:
    """Show progress until `done`, the deadline (epoch seconds), or a stop (`wait` returns True); True when done."""
    asked = 0.0
    with _Screen() as screen:
        while True:
            screen.show(progress.read())
            each()
            if time.monotonic() - asked >= ASK_S:
                asked = time.monotonic()
                if done():
                    return True
            if (deadline is not None and time.time() > deadline) or wait(TICK_S):
                return False


def drained(progress: Progress, wait: Wait, deadline: float) -> bool:
    """Wait until nothing more arrives: no lag, and silver and decisions stand still for a while."""
    still, before = 0, (-1, -1)
    while time.time() < deadline and not wait(TICK_S):
        progress.read()
        rows = progress.by_stage("caudal_rows_total")
        lag = progress.by_stage("caudal_lag")
        now = (rows["silver"], rows["decision"])
        still = still + 1 if now == before and not lag["raw"] and not lag["silver"] and not lag["decision"] else 0
        before = now
        if still >= 6:
            return True
    return False


def wait_for(condition: Callable[[], bool], wait: Wait, deadline: float) -> bool:
    """Wait for a condition without showing anything."""
    while time.time() < deadline:
        if condition():
            return True
        if wait(0.2):
            return False
    return False


class _Screen:
    """The live table, or lines."""

    def __init__(self) -> None:
        self._live = Live(console=Console(stderr=True), refresh_per_second=2, transient=True) if is_terminal() else None
        self._last = 0.0

    def __enter__(self) -> _Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, views: list[StageView]) -> None:
        if self._live is not None:
            table = Table(*HEADERS)
            for row in as_rows(views):
                table.add_row(*row)
            self._live.update(table)
        elif time.monotonic() - self._last >= LINE_S:
            self._last = time.monotonic()
            say(as_line(views))
