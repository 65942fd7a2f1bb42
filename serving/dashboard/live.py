"""One thread makes the page's state; every open page gets each state once, over server-sent events.

The state is whole each time, so a page that reconnects needs no history: it gets the latest state at once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
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


class Source:
    """Makes the state of one install."""

    def __init__(self, settings: Settings, lake: Lake, reader: Reader) -> None:
        self._settings, self._lake, self._reader = settings, lake, reader
        self._figures, self._road = Figures(lake, reader), Road()

    def state(self) -> dict[str, Any]:
        """The state now: what `serving.api.status.collect` says, with rates and figures."""
        now = time.time()
        record = status.collect(self._settings, self._lake, self._reader, now=now)
        record["stages"] = self._road.step(record["stages"], now)
        gold = self._gold()
        record["figures"] = {**self._figures.of_gold(gold), "dead_letters": self._figures.dead_letters()}
        return record

    def _gold(self) -> Gold | None:
        try:
            return self._reader.current()
        except (NotPublished, TransientError):
            return None


class Broadcaster:
    """Runs the source and wakes the pages. The thread starts with the first page and rests when none is left."""

    def __init__(self, make: Callable[[], dict[str, Any]], limits: DashboardSettings) -> None:
        self._make, self._limits = make, limits
        self._lock = threading.Lock()
        self._pages: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._left = time.monotonic()
        self._id, self._text = 0, ""
        self._log = log.get("dashboard")

    @property
    def full(self) -> bool:
        """Whether no further page can be served."""
        return len(self._pages) >= self._limits.most_pages

    async def stream(self) -> AsyncIterator[str]:
        """Server-sent events for one page: the latest state, then each new one, comments in between."""
        wake = asyncio.Event()
        with self._lock:
            self._pages[wake] = asyncio.get_running_loop()
            self._ensure()
        sent = 0
        try:
            yield "retry: 1000\n\n"
            while not self._stop.is_set():
                number, text = self._id, self._text
                if number > sent:
                    sent = number
                    yield f"id: {number}\nevent: state\ndata: {text}\n\n"
                wake.clear()
                if self._id > sent:
                    continue
                try:
                    await asyncio.wait_for(wake.wait(), timeout=self._limits.heartbeat_s)
                except TimeoutError:
                    yield ": still here\n\n"
        finally:
            with self._lock:
                self._pages.pop(wake, None)
                self._left = time.monotonic()

    def close(self) -> None:
        """End the thread and all streams."""
        self._stop.set()
        self._wake()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _ensure(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                if not self._pages and time.monotonic() - self._left > self._limits.idle_s:
                    self._thread = None
                    return
            started = time.monotonic()
            try:
                self._text = status.flat(self._make())
                self._id += 1
                self._wake()
            except Exception as error:  # noqa: BLE001  the page says that it is stale; the next round may work
                self._log.warning("no state", error=type(error).__name__)
            self._stop.wait(max(0.2, self._limits.every_s - (time.monotonic() - started)))

    def _wake(self) -> None:
        with self._lock:
            pages = list(self._pages.items())
        for event, loop in pages:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
