"""One thread makes the states of the open pages; each page gets its own over server-sent events.

A state is whole each time, so a page that reconnects needs no history: it gets the latest state at once. Only pages
that somebody looks at are made.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from caudal import log
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.settings import Settings
from serving.api import status
from serving.api.errors import NotPublished
from serving.api.gold import Gold, Reader
from serving.dashboard.figures import Figures
from serving.dashboard.road import Road
from serving.dashboard.settings import DashboardSettings

# A page that was just opened is served at once, but not more often than this many seconds apart.
SHORTEST_S = 0.2
# Pages that tell of dead letters.
LETTERS = frozenset({"overview", "dead-letters"})
Make = Callable[[Collection[str]], Mapping[str, Mapping[str, Any]]]


class Source:
    """Makes the states of one install."""

    def __init__(self, settings: Settings, lake: Lake, reader: Reader) -> None:
        self._settings, self._lake, self._reader = settings, lake, reader
        self._figures, self._road = Figures(lake, reader), Road()

    def states(self, pages: Collection[str]) -> dict[str, dict[str, Any]]:
        """The states now, by page: what `serving.api.status.collect` says, with rates and the page's figures.

        All of a round come from one manifest.
        """
        now = time.time()
        record = status.collect(self._settings, self._lake, self._reader, now=now)
        record["stages"] = self._road.step(record["stages"], now)
        gold = self._gold()
        record["gold"] = status.marts(gold, now) if gold else []
        if LETTERS & set(pages):
            record["dead_letters"] = self._figures.dead_letters()
        return {page: {**record, "figures": self._figures.of(page, gold)} for page in pages}

    def _gold(self) -> Gold | None:
        try:
            return self._reader.current()
        except (NotPublished, TransientError):
            return None


class Broadcaster:
    """Runs the source and wakes the pages. The thread starts with the first page and rests when none is left."""

    def __init__(self, make: Make, limits: DashboardSettings) -> None:
        self._make, self._limits = make, limits
        self._lock = threading.Lock()
        self._open: dict[asyncio.Event, tuple[asyncio.AbstractEventLoop, str]] = {}
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._hurry = threading.Event()
        self._left = time.monotonic()
        self._made: tuple[int, Mapping[str, str]] = (0, {})
        self._log = log.get("dashboard")

    @property
    def full(self) -> bool:
        """Whether no further page can be served."""
        return len(self._open) >= self._limits.most_pages

    async def stream(self, page: str) -> AsyncIterator[str]:
        """Server-sent events for one page: the latest state, then each new one, comments in between."""
        wake = asyncio.Event()
        with self._lock:
            self._open[wake] = (asyncio.get_running_loop(), page)
            self._ensure()
        if page not in self._made[1]:
            self._hurry.set()
        sent = 0
        try:
            yield "retry: 1000\n\n"
            while not self._stopped:
                wake.clear()
                number, texts = self._made
                if number > sent and page in texts:
                    sent = number
                    yield f"id: {number}\nevent: state\ndata: {texts[page]}\n\n"
                    continue
                try:
                    await asyncio.wait_for(wake.wait(), timeout=self._limits.heartbeat_s)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self._open.pop(wake, None)
                self._left = time.monotonic()

    def close(self) -> None:
        """End the thread and all streams."""
        self._stopped = True
        self._hurry.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _ensure(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopped:
            with self._lock:
                if not self._open and time.monotonic() - self._left > self._limits.idle_s:
                    self._thread = None
                    return
                pages = {page for _, page in self._open.values()}
            started = time.monotonic()
            self._hurry.clear()
            try:
                texts = {page: status.flat(state) for page, state in self._make(pages).items()}
                self._made = (self._made[0] + 1, texts)
                self._wake()
            except Exception as error:  # noqa: BLE001  the page says that it is stale; the next round may work
                self._log.warning("no state", error=type(error).__name__)
            self._rest(started)

    def _rest(self, started: float) -> None:
        """Until the next round is due, or somebody waits for a page that was not made."""
        shortest = min(SHORTEST_S, self._limits.every_s)
        self._hurry.wait(max(0.0, self._limits.every_s - (time.monotonic() - started)))
        while not self._stopped and (left := started + shortest - time.monotonic()) > 0:
            time.sleep(left)

    def _wake(self) -> None:
        with self._lock:
            pages = list(self._open.items())
        for event, (loop, _) in pages:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
