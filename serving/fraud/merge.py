"""One order from many partitions: what was written earlier is decided on earlier, also when the loop catches up.

A customer's payments lie on all partitions (the key is the event id), and a fetch brings hundreds of one partition
before the first of the next. So a record waits until every partition that has more to give has shown one at least as
late. At the end of all partitions nothing waits.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

Place = tuple[str, int]
T = TypeVar("T")
# A partition that gives nothing for this long does not hold up the others: its rest may be control records only.
SILENT_S = 3.0
NEVER = (-1, -1)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A polled record: where it lies, when it was published and for when (epoch ms), and what it says."""

    place: Place
    offset: int
    order: tuple[int, int]
    item: T


class Merge(Generic[T]):
    """Buffers polled records by partition and gives them by time of publishing.

    Publishers' clocks decide, because the broker's time may be one for a whole request.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._queues: dict[Place, deque[Entry[T]]] = {}
        self._heard: dict[Place, float] = {}
        self._now = monotonic

    def assign(self, places: Collection[Place]) -> None:
        """These partitions are read from now on; what lay here of others is dropped."""
        self._queues = {place: deque() for place in places}
        self._heard = dict.fromkeys(places, self._now())

    def add(self, entries: Collection[Entry[T]]) -> None:
        """Take polled records; within a partition they come in order."""
        if entries and not self.waiting:
            self._heard = dict.fromkeys(self._heard, self._now())  # silence counts from when somebody spoke
        for entry in entries:
            self._queues.setdefault(entry.place, deque()).append(entry)
            self._heard[entry.place] = self._now()

    def take(self, limit: int, ended: Callable[[Place, int | None], bool]) -> list[Entry[T]]:
        """Up to `limit` records in order of publishing.

        `ended(place, last)` says whether a partition has nothing after offset `last` (None: nothing was polled yet).
        """
        until: tuple[float, float] = (float("inf"), 0)
        for place, queue in self._queues.items():
            last = queue[-1].offset if queue else None
            if ended(place, last) or self._now() - self._heard[place] > SILENT_S:
                continue
            until = min(until, queue[-1].order if queue else NEVER)
        heads = [(q[0].order, place) for place, q in self._queues.items() if q and q[0].order <= until]
        out: list[Entry[T]] = []
        while heads and len(out) < limit:
            # A handful of partitions: the smallest of the heads is found faster than a heap is kept.
            heads.sort(reverse=True)
            _, place = heads.pop()
            queue = self._queues[place]
            out.append(queue.popleft())
            if queue and queue[0].order <= until:
                heads.append((queue[0].order, place))
        return out

    @property
    def waiting(self) -> int:
        """Records that are here and not taken."""
        return sum(len(queue) for queue in self._queues.values())
