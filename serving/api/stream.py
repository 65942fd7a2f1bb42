"""Server-sent events of one mart: each published version, and for a tenant the rows by which it differs.

An event's id is the version's tag, the one that every page has as its ETag. So a client reads the pages, then opens
the stream with `Last-Event-ID` and misses nothing: the first event holds what changed since, whatever was published
in between. When that version can no longer be read, or more rows differ than an event holds, the event is `reset`:
read the pages again. An id reaches back to versions that readers could see within `stream_resume_s`, and no others:
neither to one that failed its gate nor to what was there before an erasure.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from starlette.concurrency import run_in_threadpool

from caudal.errors import CaudalError, TransientError
from caudal.tokens import Principal
from serving.api import answer
from serving.api.errors import NotPublished, TooFast
from serving.api.gold import Gold, Mart, Reader
from serving.api.settings import ApiSettings
from serving.api.status import age_s

# How long a refused stream should wait before it asks again.
RETRY_S = 10


class Streams:
    """Open streams, bounded in number, all fed from one look at the manifest per `stream_poll_s`."""

    def __init__(self, reader: Reader, limits: ApiSettings) -> None:
        self._reader, self._limits = reader, limits
        self._lock = threading.Lock()
        self._open: dict[str, int] = {}
        self._seen: tuple[float, Gold] | None = None
        self._closed = False

    def close(self) -> None:
        """Streams end at their next look."""
        self._closed = True

    async def events(
        self, who: Principal, mart: str, last: str, still: Callable[[], bool], most: float = math.inf
    ) -> AsyncIterator[str]:
        """Events for one client until it leaves, `still` (the token is good) says no, `most` events were sent, or
        `stream_s` have passed.

        Raises NotPublished or BadQuery before the first event, TooFast when the tenant has too many streams open.
        """
        self._enter(who)
        try:
            # a client may have seen a version since the last look
            found = (await run_in_threadpool(self._look, 0.0)).mart(mart)
            opened = spoke = time.monotonic()
            yield "retry: 1000\n\n"
            if last:
                last = await run_in_threadpool(self._resumed, found, last)
            else:
                last = found.tag
                yield _event("start", found, {})
                most -= 1
            while most > 0 and not self._closed and time.monotonic() - opened < self._limits.stream_s:
                if (found := await self._now(found)).tag != last:
                    yield await run_in_threadpool(self._change, who, found, last)
                    last, spoke, most = found.tag, time.monotonic(), most - 1
                    continue
                if time.monotonic() - spoke > self._limits.stream_heartbeat_s:
                    if not await run_in_threadpool(still):
                        return
                    yield ": still here\n\n"
                    spoke = time.monotonic()
                await asyncio.sleep(self._limits.stream_poll_s)
        finally:
            self._leave(who)

    def _resumed(self, mart: Mart, tag: str) -> str:
        """The tag that a client may go on from: its own, or none."""
        version = mart.version_of(tag)
        since_ms = int((time.time() - self._limits.stream_resume_s) * 1000)
        if version is None or not self._reader.was_published(mart, version, since_ms):
            return ""
        return replace(mart, version=version).tag

    async def _now(self, before: Mart) -> Mart:
        """The mart as published now; as it was while storage does not answer."""
        try:
            return (await run_in_threadpool(self._look, self._limits.stream_poll_s)).mart(before.name)
        except (TransientError, NotPublished):
            return before

    def _look(self, young_s: float) -> Gold:
        """What is published; a look of another stream that is younger is good enough."""
        with self._lock:
            now = time.monotonic()
            if self._seen is None or now - self._seen[0] >= young_s:
                self._seen = now, self._reader.current()
            return self._seen[1]

    def _change(self, who: Principal, mart: Mart, last: str) -> str:
        """The event that leads from the version of `last` to this one."""
        version, most = mart.version_of(last), self._limits.max_limit
        if who.tenant is None:
            return _event("version", mart, {})
        if version is None:
            return _event("reset", mart, {"why": "nothing leads on from that id"})
        try:
            new = self._reader.open(mart.path, mart.version, mart.table_id)
            old = self._reader.open(mart.path, version, mart.table_id)
            columns = [c.name for c in self._reader.columns(new) if c.comparable]
            added, removed = new.since(old, who.tenant, columns, most + 1)
        except CaudalError:
            return _event("reset", mart, {"why": "the version of that id can no longer be read"})
        if max(added.num_rows, removed.num_rows) > most:
            return _event("reset", mart, {"why": f"more than {most} rows differ"})
        return _event("change", mart, {"added": answer.rows(added), "removed": answer.rows(removed)})

    def _enter(self, who: Principal) -> None:
        owner = who.tenant or ""
        with self._lock:
            if (
                self._open.get(owner, 0) >= self._limits.streams_per_tenant
                or sum(self._open.values()) >= self._limits.streams
            ):
                raise TooFast(RETRY_S, "too many streams are open")
            self._open[owner] = self._open.get(owner, 0) + 1

    def _leave(self, who: Principal) -> None:
        owner = who.tenant or ""
        with self._lock:
            self._open[owner] -= 1
            if not self._open[owner]:
                del self._open[owner]


def _event(kind: str, mart: Mart, more: dict[str, Any]) -> str:
    age = age_s(mart.published_ms, time.time())
    data = {"table": mart.name, "version": mart.version, "age_s": age, **more}
    return f"id: {mart.tag}\nevent: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
