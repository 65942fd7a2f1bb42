"""Looks after children that run: notes when they become ready, and starts again what crashed."""

from __future__ import annotations

import time
from collections.abc import Callable

from caudal import log
from caudal.alerts import Alerts
from caudal.errors import CaudalError
from caudal.local.child import Child, Running
from caudal.local.entry import FIRST_BACKOFF_S, Entry
from caudal.metrics import Metrics

# The wait before a restart doubles up to this, and starts over after so many seconds of work.
LAST_BACKOFF_S = 30.0
STEADY_S = 60.0


class Care:
    """What happens to one child at each look. `changed` is called when a state did."""

    def __init__(
        self,
        spawn: Callable[[Child], Running],
        changed: Callable[[], None],
        say: Callable[[str], None],
        metrics: Metrics,
        alerts: Alerts,
    ) -> None:
        self._spawn, self._changed, self._say = spawn, changed, say
        self._metrics, self._alerts = metrics, alerts
        self._log = log.get("supervisor")

    def look_after(self, entry: Entry) -> None:
        if entry.awaited or entry.state == "ended":
            return
        code = entry.running.exit_code()
        if entry.state == "restarting":
            if time.monotonic() >= entry.again_at:
                self._again(entry)
        elif code is not None:
            self._crashed(entry, code)
        elif entry.state == "starting":
            self._still_starting(entry)

    def _still_starting(self, entry: Entry) -> None:
        if entry.child.ready() is None:
            entry.child.after()
            entry.state = "ready"
            took = time.time() - entry.running.started_at
            self._say(f"{entry.child.name} is ready after {took:.1f} s")
            self._changed()
        elif not entry.late and time.time() - entry.running.started_at > entry.child.ready_s:
            entry.late = True
            self._alerts.raise_(
                "CDL-START", f"{entry.child.name} is not ready yet", entry.child.name, seconds=entry.child.ready_s
            )

    def _crashed(self, entry: Entry, code: int) -> None:
        name = entry.child.name
        # What it started must not go on without it: a JVM would keep its table's lease and its port.
        entry.running.stop(hurry=lambda: True)
        if not entry.child.restart:
            entry.state = "ended"
            self._say(f"{name} ended with code {code}")
            self._changed()
            return
        if time.time() - entry.running.started_at > STEADY_S:
            entry.backoff_s = FIRST_BACKOFF_S
        entry.again_at = time.monotonic() + entry.backoff_s
        self._say(f"{name} ended with code {code}, starts again in {entry.backoff_s:.0f} s")
        self._log.warning("child ended", child=name, code=code, again_in_s=entry.backoff_s)
        self._metrics.count("caudal_restarts_total", process=name)
        self._alerts.raise_("CDL-CRASH", f"{name} ended with code {code} and starts again", f"crash-{name}")
        entry.backoff_s = min(entry.backoff_s * 2, LAST_BACKOFF_S)
        entry.state = "restarting"
        self._changed()

    def _again(self, entry: Entry) -> None:
        try:
            entry.running = self._spawn(entry.child)
        except (OSError, CaudalError) as error:
            entry.again_at = time.monotonic() + entry.backoff_s
            self._log.warning("child did not start", child=entry.child.name, why=str(error))
            return
        entry.restarts += 1
        entry.late = False
        entry.state = "starting"
        self._changed()
