"""Where the sealer's real parts are chosen."""

from __future__ import annotations

import signal
import threading

from caudal.metrics import Metrics
from caudal.settings import Settings
from producers.publish import Publisher
from producers.sealer.foreign import Find
from producers.sealer.move import Mover


def run(settings: Settings) -> None:
    """Move records until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = Metrics("sealer", settings.run_dir / "metrics").start()
    try:
        serve(settings, metrics, stop)
    finally:
        metrics.stop()


def serve(settings: Settings, metrics: Metrics, stop: threading.Event) -> None:
    """The sealer until `stop` is set; for `run` and for tests."""
    with Publisher(settings, source="sealer", metrics=metrics) as publisher:
        Mover(settings, publisher, _find(settings), metrics).run(stop)


def _find(settings: Settings) -> Find:
    from schemas.registry import client

    registry = client.make(settings)
    return lambda schema_id: client.text_of(registry, schema_id)
