"""Where the warehouse is wired: one connection at a time, and a loop that follows the manifest."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from caudal import log
from caudal.alerts import Alerts
from caudal.errors import CaudalError
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from schemas.manifest import load_current
from serving.warehouse.errors import Off, Unreconciled, told
from serving.warehouse.plan import Declared
from serving.warehouse.publish import Report, publish
from serving.warehouse.settings import WarehouseSettings

if TYPE_CHECKING:
    from psycopg import Connection

CONNECT_S = 10
# Seconds until an error that waiting does not mend is tried again: somebody may have changed the server meanwhile.
PATIENCE_S = 30.0


@contextmanager
def connected(settings: Settings) -> Iterator[tuple[Connection, WarehouseSettings]]:
    """The publisher's connection. Raises Off without an address, Away when the server does not answer."""
    section = settings.section("serving.warehouse", WarehouseSettings)
    if not section.url.get_secret_value():
        raise Off("no warehouse is set", fix="set serving.warehouse.url: docs/warehouse.md, First steps")
    import psycopg

    with (
        told(),
        psycopg.connect(
            section.url.get_secret_value(), autocommit=True, connect_timeout=CONNECT_S, application_name="caudal"
        ) as link,
    ):
        yield link, section


def once(settings: Settings, declared: Mapping[str, Declared], *, whole: bool = False) -> Report:
    """Publish now what the manifest says. `whole`: every mart is copied anew."""
    with connected(settings) as (link, section):
        return publish(link, Lake.open(settings), declared, section, whole=None if whole else ())


def follow(settings: Settings, declared: Mapping[str, Declared], stop: threading.Event) -> None:
    """Publish each new manifest until `stop`. What fails is tried again; a copy that is wrong is made anew, once."""
    section = settings.section("serving.warehouse", WarehouseSettings)
    metrics = Metrics("warehouse", settings.run_dir / "metrics").start()
    follower = Follower(settings, declared, metrics)
    try:
        while not stop.is_set():
            stop.wait(max(section.poll_s, follower.turn()))
    finally:
        metrics.stop()


class Follower:
    """The loop's one turn, with what it remembers between turns."""

    def __init__(self, settings: Settings, declared: Mapping[str, Declared], metrics: Metrics) -> None:
        self._settings, self._declared, self._metrics = settings, declared, metrics
        self._lake = Lake.open(settings)
        self._alerts = Alerts.open(settings)
        self._log = log.get("warehouse")
        self._done = 0
        self._anew: set[str] = set()

    def turn(self) -> float:
        """Look at the manifest and publish what is new; returns the seconds that the next turn should wait."""
        try:
            manifest = load_current(self._lake)
            if manifest is not None and manifest.number != self._done:
                self._publish()
            self._metrics.ready()
        except Unreconciled as error:
            self._alerts.raise_(error.code, str(error), error.mart)
            if error.mart in self._anew:
                return PATIENCE_S
            self._anew.add(error.mart)
        except CaudalError as error:
            if error.retryable:
                self._log.warning("will try again", **error.facts())
                return float(getattr(error, "retry_after", PATIENCE_S))
            self._alerts.raise_(error.code, str(error), error.where)
            return PATIENCE_S
        return 0.0

    def _publish(self) -> None:
        started = perf_counter()
        with connected(self._settings) as (link, section):
            report = publish(link, self._lake, self._declared, section, whole=frozenset(self._anew))
        seconds = perf_counter() - started
        self._done = report.manifest
        self._anew.clear()
        for side in ("gone", "came"):
            self._metrics.count("caudal_warehouse_rows_total", sum(getattr(c, side) for c in report.copied), kind=side)
        self._metrics.gauge("caudal_warehouse_seconds", seconds)
        self._metrics.gauge("caudal_warehouse_manifest", report.manifest)
        self._log.info(
            "published",
            manifest=report.manifest,
            marts=len(report.copied),
            whole=sum(c.how == "whole" for c in report.copied),
            seconds=round(seconds, 3),
        )
        if report.undeclared:
            self._log.warning("marts that no YAML declares were left out", marts=list(report.undeclared))
