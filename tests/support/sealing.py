"""The sealer at work beside a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from caudal.metrics import Metrics
from caudal.settings import Settings
from producers.sealer.app import serve


@contextmanager
def sealing(settings: Settings) -> Iterator[None]:
    """It runs in the block, and has ended after it."""
    stop = threading.Event()
    thread = threading.Thread(target=serve, args=(settings, Metrics("test"), stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
