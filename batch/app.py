"""Where the batch process is wired: one warm session, one loop, until it is told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from batch.catalogue import Catalogue
from batch.errors import Stopped
from batch.loop import Loop
from batch.pins import Heads
from batch.settings import BatchSettings
from batch.tools import Tools
from batch.transform import Transform
from caudal import log
from caudal.alerts import Alerts
from caudal.clock import SystemClock
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.lease import Lease
from caudal.metrics import Metrics
from caudal.settings import Settings
from quality.gate import Gate
from quality.settings import QualitySettings
from quality.steady import Steady
from quality.uptime import Watch
from schemas.distribution import ContractFeed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONF = {
    # Marts that dbt replaces make the in-memory catalogue complain that it cannot alter a table it does not hold.
    "spark.databricks.delta.catalog.update.enabled": "false",
}
# Harmless, and repeated in every full cycle.
SILENCED = ("org.apache.spark.sql.delta.commands.CreateDeltaTableCommand", "org.apache.spark.sql.hive")


def run(settings: Settings) -> None:
    """Run cycles until SIGTERM or SIGINT. Raises LeaseHeld when another batch process owns this lake's gold."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = Metrics("batch", settings.run_dir / "metrics").start()
    uptime = Watch(Lake.open(settings), settings.run_dir / "metrics", SystemClock()).start()
    feed = ContractFeed(settings)
    try:
        with opened(settings, metrics, stop.is_set) as loop:
            loop.learn(released.contract for released in feed.read_to_end().values())
            metrics.ready()
            _turns(loop, feed, stop, settings.section("batch", BatchSettings).pause_s)
    except Stopped:
        log.get("batch").info("stopped in the middle of a cycle; the next start takes it back")
    finally:
        feed.close()
        uptime.stop()
        metrics.stop()


@contextmanager
def opened(settings: Settings, metrics: Metrics, stopping: Callable[[], bool] = lambda: False) -> Iterator[Loop]:
    """The loop with everything it needs, holding the lease on gold; the session stops with it."""
    from caudal.spark import session

    with Lease(lease_path(settings)).acquire("batch"):
        spark = session(settings, "batch", settings.spark.batch_heap, CONF)
        _silence(spark)
        try:
            yield Loop(
                tools(settings, spark, metrics, stopping),
                settings.section("batch", BatchSettings),
                settings.section("quality", QualitySettings),
                working_copy(settings),
            )
        finally:
            spark.stop()


def tools(
    settings: Settings, spark: SparkSession, metrics: Metrics, stopping: Callable[[], bool] = lambda: False
) -> Tools:
    """The real tools around a session."""
    lake = Lake.open(settings)
    return Tools(
        spark=spark,
        lake=lake,
        heads=Heads(lake),
        catalogue=Catalogue(spark, lake),
        transform=Transform(working_copy(settings), settings.section("batch", BatchSettings).threads),
        gate=Gate(Steady(lake)),
        metrics=metrics,
        alerts=Alerts.open(settings),
        clock=SystemClock(),
        stopping=stopping,
    )


def lease_path(settings: Settings) -> Path:
    """The lease on gold: one process of this install writes it."""
    return settings.run_dir / "leases" / "batch.lease"


def working_copy(settings: Settings) -> Path:
    """Where this install's copy of the dbt project lies."""
    return settings.data_dir.resolve() / "dbt"


def _turns(loop: Loop, feed: ContractFeed, stop: threading.Event, pause_s: float) -> None:
    logger = log.get("batch")
    while not stop.is_set():
        news = feed.poll(0.0)
        if news:
            loop.learn(released.contract for released in news)
        try:
            loop.turn()
        except TransientError as error:
            logger.warning("will try again", **error.facts())
            stop.wait(error.retry_after)
        stop.wait(pause_s)


def _silence(spark: SparkSession) -> None:
    jvm = spark.sparkContext._jvm
    off = jvm.org.apache.logging.log4j.Level.OFF
    for name in SILENCED:
        jvm.org.apache.logging.log4j.core.config.Configurator.setLevel(name, off)
