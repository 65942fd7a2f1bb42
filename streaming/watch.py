"""What is looked at every few seconds: how far raw is behind, up to when tables are complete, which promises hold."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caudal import log
from caudal.alerts import Alerts
from caudal.clock import Clock
from caudal.metrics import Metrics, write_whole
from streaming.batches import Batches
from streaming.budget import MINUTE_S, WINDOWS, Budget
from streaming.lag import Lag, behind, furthest
from streaming.progress import Progress
from streaming.query import Query
from streaming.settings import StreamingSettings
from streaming.worker import Worker

_log = log.get("streaming.watch")
# A line of the log for a person who waits for the end of a backlog.
LINE_S = 5.0
SHOWN = ("1h", "24h")
BURNING = "CDL-BUDGET"


class Watch:
    """Looks, tells the metrics, raises the alarm when a contract's error budget burns. Used by one thread."""

    def __init__(
        self,
        own: StreamingSettings,
        batches: Batches,
        query: Query,
        lag: Lag,
        metrics: Metrics,
        alerts: Alerts,
        clock: Clock,
        file: Path,
    ) -> None:
        """`file` keeps the budgets over a restart."""
        self._own, self._batches, self._query, self._lag = own, batches, query, lag
        self._metrics, self._alerts, self._clock, self._file = metrics, alerts, clock, file
        self._progress = Progress()
        self._line_at = float("-inf")
        self._born_ms = self._looked_ms = self._kept_ms = clock.now_ms()
        self._budgets, self._away_s = _read(file, self._born_ms)
        self._burning: dict[str, str | None] = {}

    def look(self) -> None:
        """Ask the broker once, and say what that means."""
        asked_ms = self._clock.now_ms()
        ends = self._lag.ends(self._query.partitions())
        # In this order: what counts as done was waiting in the contracts before it was done.
        done = furthest(self._batches.raw.ends, self._query.read_to())
        if ends:
            self._batches.waiting = behind(ends, done)
            for topic, n in self._batches.waiting.items():
                self._metrics.gauge("caudal_lag", n, stage="raw", contract=topic)
            self._backlog(ends, done)
            # The broker has just answered.
            self._lag.tell(self._batches.raw.ends)
        passed_s, self._looked_ms = (asked_ms - self._looked_ms) / 1000, asked_ms
        for worker in list(self._batches.workers.values()):
            topic = worker.contract.topic
            if topic in ends:
                settled = worker.settled
                worker.through.looked(ends[topic], done.get(topic, {}) if settled else {}, asked_ms)
                self._came_back(worker, waits=not settled or self._batches.waiting.get(topic, 0) > 0)
            self._fresh(worker, asked_ms, max(0.0, passed_s))
        if asked_ms - self._kept_ms >= MINUTE_S * 1000:
            self.keep()

    def keep(self) -> None:
        """Write the budgets down."""
        self._kept_ms = self._looked_ms
        found = {"at_ms": self._looked_ms, "contracts": {name: b.plain() for name, b in self._budgets.items()}}
        try:
            write_whole(self._file, json.dumps(found).encode())
        except OSError as error:
            _log.warning("error budgets not kept", why=type(error).__name__)

    def _backlog(self, ends: Mapping[str, Mapping[int, int]], done: Mapping[str, Mapping[int, int]]) -> None:
        now = time.monotonic()
        at = sum(min(end, done.get(topic, {}).get(p, 0)) for topic, parts in ends.items() for p, end in parts.items())
        found = self._progress.look(now, at, sum(end for parts in ends.values() for end in parts.values()))
        self._metrics.gauge("caudal_backlog_records", found.left)
        self._metrics.gauge("caudal_backlog_records_per_second", round(found.per_s, 1))
        self._metrics.gauge("caudal_backlog_eta_seconds", -1 if found.eta_s is None else round(found.eta_s, 1))
        large = 2 * self._batches.most_records()
        if found.left > large and now - self._line_at >= LINE_S:
            self._line_at = now
            eta = "unknown" if found.eta_s is None else f"{found.eta_s:.0f} s"
            _log.info("backlog", left=found.left, per_s=round(found.per_s), done_in=eta)

    def _fresh(self, worker: Worker, now_ms: int, passed_s: float) -> None:
        name, promise, through = worker.contract.id, worker.contract.freshness_s, worker.through.ms()
        if through is not None:
            self._metrics.gauge("caudal_valid_through_seconds", through / 1000, contract=name)
            self._metrics.gauge("caudal_freshness_seconds", max(0.0, (now_ms - through) / 1000), contract=name)
        if promise is None:
            return
        # Before a table has told anything it is as old as this process.
        age_s = (now_ms - (self._born_ms if through is None else through)) / 1000
        budget = self._budgets.setdefault(name, Budget())
        budget.add(now_ms / 1000, passed_s, kept=age_s <= promise)
        self._metrics.gauge("caudal_freshness_promise_seconds", promise, contract=name)
        self._metrics.gauge("caudal_freshness_since_seconds", budget.since() or now_ms / 1000, contract=name)
        for window in SHOWN:
            kept = budget.kept(WINDOWS[window], now_ms / 1000)
            burn = budget.burn(WINDOWS[window], now_ms / 1000, self._own.objective)
            labels = {"contract": name, "window": window}
            self._metrics.gauge("caudal_freshness_kept_ratio", 1 if kept is None else kept, **labels)
            self._metrics.gauge("caudal_burn_rate", round(burn, 2), **labels)
        self._alarm(name, budget, now_ms / 1000, promise)

    def _came_back(self, worker: Worker, *, waits: bool) -> None:
        """Nobody watched while there was no process. Records that wait at the first look show that the table was too
        old after the promised time."""
        budget, promise = self._budgets.get(worker.contract.id), worker.contract.freshness_s
        away_s = self._away_s.pop(worker.contract.id, 0.0)
        if budget is None or promise is None or away_s <= 0:
            return
        kept, end = min(away_s, promise) if waits else away_s, self._born_ms / 1000
        budget.add(end - away_s + kept, kept, kept=True)
        budget.add(end, away_s - kept, kept=False)

    def _alarm(self, name: str, budget: Budget, at_s: float, promise: float) -> None:
        window = budget.burning(at_s, self._own.objective)
        if window is not None and self._burning.get(name) is None:
            self._alerts.raise_(
                BURNING,
                f"{name} is older than promised for too much of the time",
                f"budget:{name}",
                contract=name,
                promise_s=promise,
                window=window,
                burn_rate=round(budget.burn(WINDOWS[window], at_s, self._own.objective), 1),
            )
        self._burning[name] = window


def _read(file: Path, now_ms: int) -> tuple[dict[str, Budget], dict[str, float]]:
    """The budgets of the process before, and for how many seconds nobody watched; none when they cannot be read."""
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        away_s = max(0.0, (now_ms - int(found["at_ms"])) / 1000)
        budgets = {name: Budget(minutes) for name, minutes in found["contracts"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        return {}, {}
    return budgets, dict.fromkeys(budgets, away_s)
