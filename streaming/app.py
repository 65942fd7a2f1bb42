"""The streaming process: the only place where its real parts are chosen and put together."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any

from caudal import log
from caudal.alerts import Alerts
from caudal.clock import SystemClock
from caudal.errors import CaudalError, TransientError
from caudal.lake import Lake
from caudal.lease import Lease
from caudal.metrics import Metrics
from caudal.settings import Settings
from schemas.distribution import ContractFeed
from schemas.errors import Unreachable
from streaming import jvm, registered, session
from streaming.batches import Batches
from streaming.commands import Commands, answer, verbs
from streaming.errors import DataLoss
from streaming.lag import Lag
from streaming.ledger import Ledger
from streaming.positions import flushed_versions
from streaming.purge import Purging
from streaming.query import Query
from streaming.recover import Recovery
from streaming.restore import Restoring
from streaming.retain import Retaining
from streaming.settings import StreamingSettings
from streaming.watch import Watch
from streaming.worker import Shop
from streaming.writers import Writers

_log = log.get("streaming")
# How often the loop looks at contracts, retries and the query's health.
_TICK_S = 0.5


def run(settings: Settings) -> None:
    """Stream until SIGTERM or SIGINT, then stop after the batch that runs. Raises LeaseHeld when another streams."""
    stop = threading.Event()

    def asked(_: int, __: FrameType | None) -> None:
        stop.set()

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, asked)
    own = settings.section("streaming", StreamingSettings)
    with Lease(settings.run_dir / "leases" / f"streaming-{own.query}.lock").acquire("streaming"):
        Stream(settings, own).run(stop)


def once(settings: Settings, identity: str, verb: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out one command here and stop, for when nobody streams. Raises LeaseHeld when somebody does."""
    own = settings.section("streaming", StreamingSettings)
    with Lease(settings.run_dir / "leases" / f"streaming-{own.query}.lock").acquire("streaming"):
        return Stream(settings, own).once(json.dumps({"id": identity, "verb": verb, "arguments": dict(arguments)}))


class Stream:
    """The stage put together."""

    def __init__(self, settings: Settings, own: StreamingSettings) -> None:
        self._settings, self._own = settings, own
        self._metrics = Metrics("streaming", settings.run_dir / "metrics").start()
        self._alerts = Alerts.open(settings)
        lake = Lake.open(settings)
        self._spark = session.start(settings)
        self._registry = registered.SchemaRegistry(settings)
        writers = Writers(self._registry, jvm.compatible(self._spark), registered.known(lake))
        ledger = Ledger(self._spark, lake)
        ledger.load(flushed_versions(lake))
        shop = Shop(self._spark, lake, own, writers, ledger, self._metrics, self._alerts, SystemClock())
        self._batches = Batches(shop)
        self._purging = Purging(shop, self._batches)
        self._retaining = Retaining(shop, self._batches, self._purging)
        more = {
            "recover": Recovery(settings, shop, self._batches).run,
            "restore": Restoring(shop, self._batches).run,
            "purge": self._purging.run,
            "retain": self._retaining.run,
        }
        self._verbs = verbs(self._batches, more)
        self._query = Query(self._spark, settings, own, self._batches)
        self._feed = ContractFeed(settings)
        file = settings.run_dir / f"freshness-{own.query}.json"
        lag, clock = Lag(settings, own.query), shop.clock
        self._watch = Watch(own, self._batches, self._query, lag, self._metrics, self._alerts, clock, file)
        self._flushed_at = self._lag_at = 0.0
        self._wait_s = own.restart_s

    def run(self, stop: threading.Event) -> None:
        """Catch up, start, and look after everything until `stop` is set."""
        commands = Commands(self._settings, self._own.query, self._verbs, self._retaining.tend)
        try:
            released = self._contracts(stop)
            self._batches.open(released)
            self._purging.settle()
            commands.start()
            self._begin()
            while not stop.is_set():
                self._tick(stop)
        finally:
            self._metrics.ready(False)
            commands.stop()
            self._query.stop()
            self._watch.keep()
            self._end()

    def once(self, command: str) -> dict[str, Any]:
        """Catch up, carry out one command (JSON), and stop. Raises Unreachable when the contracts cannot be read."""
        try:
            self._batches.open(list(self._feed.read_to_end().values()))
            self._purging.settle()
            answered = answer(command.encode(), self._verbs)
            assert answered is not None, "the verb is one of this stage's"
            return answered
        finally:
            self._end()

    def _end(self) -> None:
        self._feed.close()
        self._registry.close()
        try:
            self._batches.flush()
            self._spark.stop()
        finally:
            self._metrics.stop()

    def _contracts(self, stop: threading.Event) -> list:  # type: ignore[type-arg]
        """Every contract released so far; waits for a broker that is not up yet."""
        while not stop.is_set():
            try:
                return list(self._feed.read_to_end().values())
            except Unreachable as error:
                _log.warning("contracts cannot be read yet", **error.facts())
                stop.wait(self._own.restart_s)
        return []

    def _begin(self) -> None:
        try:
            started = self._query.start()
        except TransientError as error:
            _log.warning("the query cannot start yet", **error.facts())
            self._batches.begin_again = True
            return
        if started:
            _log.info("streaming", topics=self._batches.topics(), batch=self._batches.raw.batch)
        for gap in self._query.gaps:
            self._alerts.raise_(
                DataLoss.code,
                f"{gap.topic} is not read: Kafka no longer has records that raw has not read",
                f"gap:{gap.topic}/{gap.partition}",
                **gap.plain(),
            )
        self._metrics.ready(True)

    def _tick(self, stop: threading.Event) -> None:
        released = self._feed.poll(_TICK_S)
        if released:
            new_topic = self._batches.release(released)
            if new_topic or not self._query.running:
                self._query.stop()
                self._begin()
        if self._batches.begin_again:
            self._query.stop()
            self._begin()
        failure = self._query.failure()
        if failure is not None:
            self._recover(failure, stop)
        elif self._query.running:
            self._wait_s = max(self._own.restart_s, self._wait_s * 0.98)
        self._batches.tend()
        self._look_after()

    def _recover(self, failure: CaudalError, stop: threading.Event) -> None:
        """The query has ended: say so, wait, and begin again from what raw holds."""
        self._metrics.ready(False)
        facts = {name: value for name, value in failure.facts().items() if name != "code"}
        self._alerts.raise_(failure.code, failure.what, f"query:{self._own.query}", **facts)
        _log.warning("query ended", wait_s=round(self._wait_s, 1), **failure.facts())
        self._query.stop()
        stop.wait(self._wait_s)
        self._wait_s = min(self._own.restart_max_s, self._wait_s * 2)
        if not stop.is_set():
            self._batches.open([])
            self._begin()

    def _look_after(self) -> None:
        now = time.monotonic()
        if now - self._flushed_at >= self._own.ledger_flush_s:
            self._flushed_at = now
            try:
                self._batches.flush()
            except Exception as error:  # noqa: BLE001 - whatever Spark throws, the stream goes on
                # The lines wait; the commits hold them anyway.
                _log.warning("ledger not flushed", kind=type(error).__name__)
        if now - self._lag_at >= self._own.lag_s:
            self._lag_at = now
            self._watch.look()
