"""Is everybody there: once a minute, what the processes' own metrics files say, summed up by day.

`_quality/uptime/<date>.json` holds `{component: {watched, good, requests, errors}}`: minutes looked at, of these the
sum of their good parts, requests and those of them that ended in a server's error. A minute without requests is good
when the process is ready; one with requests as far as they were answered. Minutes in which nobody looked count neither
way: `watched` says how many there were.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from caudal import log
from caudal.clock import Clock
from caudal.lake import Lake
from caudal.metrics import Snapshot, read_all
from quality.days import day_of
from schemas import manifest

FOLDER = "_quality/uptime"
EVERY_S = 60.0
SILENT_S = 15.0
"""A process that has not written its snapshot for so long does not do its work."""
INTAKE = ("/v1/events", "/webhooks")
SCORING = ("/v1/score", "/v1/features")

Tally = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Seen:
    """One look at one component: whether it is there, and its requests and errors since its process began."""

    ready: bool
    requests: float = 0.0
    errors: float = 0.0


def look(snapshots: Iterable[Snapshot], now: float, published: bool) -> dict[str, Seen]:
    """What each component is doing at `now` (epoch seconds). `published`: there is gold, and its manifest is read."""
    alive = {one.process: one for one in snapshots if one.ready and now - one.at <= SILENT_S}
    web = alive.get("web")
    counted = web.counters if web else []
    calls = [(s.labels.get("route", ""), s.labels.get("status", ""), s.value) for s in counted if _is_answer(s.name)]

    def answers(chosen: Iterable[tuple[str, str, float]], ready: bool) -> Seen:
        listed = list(chosen)
        return Seen(ready, sum(n for *_, n in listed), sum(n for _, status, n in listed if status.startswith("5")))

    return {
        "intake": answers((c for c in calls if c[0].startswith(INTAKE)), web is not None),
        "api": answers((c for c in calls if not c[0].startswith((*INTAKE, *SCORING))), web is not None),
        "gold": Seen(web is not None and published),
        "scoring": answers((c for c in calls if c[0].startswith(SCORING)), "scorer" in alive),
        "batch": Seen("batch" in alive),
    }


def add(tally: Mapping[str, Mapping[str, float]], before: Mapping[str, Seen], now: Mapping[str, Seen]) -> Tally:
    """The day's tally with one more minute. A counter that fell began anew with its process."""
    found: Tally = {name: dict(one) for name, one in tally.items()}
    for name, seen in now.items():
        last = before.get(name, seen)
        again = seen.requests < last.requests
        requests = seen.requests - (0.0 if again else last.requests)
        errors = min(requests, max(0.0, seen.errors - (0.0 if again else last.errors)))
        good = (1.0 - errors / requests if requests else 1.0) if seen.ready else 0.0
        one = found.setdefault(name, {"watched": 0.0, "good": 0.0, "requests": 0.0, "errors": 0.0})
        for key, more in (("watched", 1.0), ("good", good), ("requests", requests), ("errors", errors)):
            one[key] = round(one[key] + more, 6)
    return found


def load(lake: Lake, day: str) -> Tally:
    """The tally of a day, `2026-11-28`; empty when nobody looked."""
    found: Tally = json.loads(lake.read_bytes(f"{FOLDER}/{day}.json") or b"{}")
    return found


class Watch:
    """Looks once a minute, in a thread of its own, until it is told to stop. One per lake."""

    def __init__(self, lake: Lake, metrics: Path, clock: Clock) -> None:
        self._lake, self._metrics, self._clock = lake, metrics, clock
        self._before: dict[str, Seen] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="uptime", daemon=True)

    def start(self) -> Watch:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)

    def once(self) -> None:
        """Look now, and write it down."""
        now_ms = self._clock.now_ms()
        seen = look(read_all(self._metrics), now_ms / 1000, manifest.load_current(self._lake) is not None)
        day = day_of(now_ms).isoformat()
        tally = add(load(self._lake, day), self._before, seen)
        self._lake.write_atomic(f"{FOLDER}/{day}.json", json.dumps(tally).encode())
        self._before = seen

    def _loop(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.once()
            except Exception as error:  # noqa: BLE001 (storage may be away; the next minute looks again)
                log.get("quality").warning("nobody looked this minute", why=type(error).__name__)


def _is_answer(name: str) -> bool:
    return name == "caudal_api_requests_total"
