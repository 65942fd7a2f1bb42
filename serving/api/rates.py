"""One token bucket per key: a steady rate, and a burst after silence."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

# Keys that are remembered. A forgotten key starts with a full bucket again, which only a caller who
# commands more keys than this could use.
KEYS = 10_000


class Rates:
    """Buckets by key, bounded in number. `now` gives seconds on a clock that never goes back."""

    def __init__(self, per_s: float, burst: int, now: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._now = per_s, float(burst), now
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> int:
        """0 when the caller may go on, else the whole seconds after which it may."""
        with self._lock:
            now = self._now()
            level, at = self._buckets.pop(key, (self._burst, now))
            level = min(self._burst, level + (now - at) * self._per_s)
            wait = 0 if level >= 1 else max(1, math.ceil((1 - level) / self._per_s))
            self._buckets[key] = (level - 1 if not wait else level, now)
            if len(self._buckets) > KEYS:
                self._buckets.popitem(last=False)
            return wait
