"""Up to when a silver table is complete: every record that Kafka had taken by then is in it, or refused.

The minimum over the topic's partitions of the newest Kafka time that is committed. A partition that silver has read to
its end holds nothing back: it is complete up to the moment when its end was asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping


class ValidThrough:
    """One table's. Times are epoch milliseconds; they never go back, and no record's time is believed beyond now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._through: dict[int, int] = {}
        self._known = False

    def committed(self, times: Mapping[int, int], now_ms: int) -> None:
        """Silver has all records up to these Kafka times, by partition."""
        with self._lock:
            for partition, newest in times.items():
                self._move(partition, min(newest, now_ms))

    def looked(self, ends: Mapping[int, int], done: Mapping[int, int], asked_ms: int) -> None:
        """Partitions ended there when they were asked; silver has everything before `done`."""
        with self._lock:
            for partition, end in ends.items():
                if done.get(partition, 0) >= end:
                    self._move(partition, asked_ms)
            self._known = set(ends) <= set(self._through)

    def ms(self) -> int | None:
        """Up to when; None as long as a partition has told nothing since the start."""
        with self._lock:
            return min(self._through.values(), default=None) if self._known else None

    def _move(self, partition: int, to_ms: int) -> None:
        self._through[partition] = max(self._through.get(partition, 0), to_ms)
