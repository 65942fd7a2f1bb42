from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Collection
from typing import Any

from serving.dashboard.live import Broadcaster
from serving.dashboard.settings import DashboardSettings

QUICK = DashboardSettings(every_s=0.01, heartbeat_s=5, idle_s=0.01)
SILENT = DashboardSettings(every_s=0.01, heartbeat_s=0.05, idle_s=0.01)


async def taken(live: Broadcaster, number: int, page: str = "overview") -> list[str]:
    stream = live.stream(page)
    try:
        return [await asyncio.wait_for(anext(stream), 5) for _ in range(number)]
    finally:
        await stream.aclose()


def test_states_come_with_rising_numbers() -> None:
    """A page hears how to reconnect, then each state with an id of its own."""
    counter = itertools.count(1)
    live = Broadcaster(lambda pages: {page: {"n": next(counter)} for page in pages}, QUICK)
    retry, *events = asyncio.run(taken(live, 4))
    live.close()
    assert retry == "retry: 1000\n\n"
    numbers = [int(event.split("\n")[0].removeprefix("id: ")) for event in events]
    assert sorted(set(numbers)) == numbers
    assert all(json.loads(event.split("data: ")[1])["n"] > 0 for event in events)


def test_a_silent_stream_says_that_it_lives() -> None:
    """When no state comes a comment keeps proxies from cutting the stream."""

    def never(_: Collection[str]) -> dict[str, Any]:
        raise OSError

    live = Broadcaster(never, SILENT)
    assert asyncio.run(taken(live, 2))[1] == ": still here\n\n"
    live.close()


def test_one_thread_serves_all_pages() -> None:
    """Two pages get the same states, and the thread rests when both have left."""
    made: list[int] = []

    def make(pages: Collection[str]) -> dict[str, Any]:
        made.append(1)
        return {page: {"n": len(made)} for page in pages}

    live = Broadcaster(make, QUICK)

    async def both() -> list[list[str]]:
        return await asyncio.gather(taken(live, 3), taken(live, 3))

    asyncio.run(both())
    thread = live._thread
    if thread is not None:
        thread.join(5)
        assert not thread.is_alive()
    live.close()


def test_a_page_gets_its_own_states_at_once() -> None:
    """Only pages that somebody looks at are made, and a newly opened one does not wait for the next round."""
    made: list[set[str]] = []

    def make(pages: Collection[str]) -> dict[str, Any]:
        made.append({*pages})
        return {page: {"page": page} for page in pages}

    live = Broadcaster(make, DashboardSettings(every_s=600, idle_s=600))

    async def one_after_the_other() -> list[str]:
        first = live.stream("fraud")
        events = [await asyncio.wait_for(anext(first), 5) for _ in range(2)]
        events += await taken(live, 2, "quality")
        await first.aclose()
        return events

    _, fraud, _, quality = asyncio.run(one_after_the_other())
    live.close()
    assert [json.loads(event.split("data: ")[1])["page"] for event in (fraud, quality)] == ["fraud", "quality"]
    assert made == [{"fraud"}, {"fraud", "quality"}]


def test_pages_are_bounded() -> None:
    """A process serves a fixed number of streams."""
    live = Broadcaster(dict.fromkeys, DashboardSettings(every_s=0.01, most_pages=1))

    async def open_one() -> bool:
        stream = live.stream("overview")
        await anext(stream)
        full = live.full
        await stream.aclose()
        return full

    assert asyncio.run(open_one())
    assert not live.full
    live.close()
