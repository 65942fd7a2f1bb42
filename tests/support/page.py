"""A running web server with API and dashboard, and a headless Chromium to look at it."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import uvicorn
from fastapi import FastAPI

from caudal.cli.web import DeadLetters
from caudal.metrics import Metrics
from caudal.settings import Settings
from serving.api import app as api
from serving.dashboard import app as dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip


@contextmanager
def served(settings: Settings, port: int = 0) -> Iterator[str]:
    """The address of a server on `port` (0: a free one); stopped at the end."""
    metrics = Metrics("web", settings.run_dir / "metrics").start()
    mounted = [api.build(settings, metrics), dashboard.build(settings, metrics, DeadLetters(settings))]
    app = FastAPI(docs_url=None, redoc_url=None)
    for part in mounted:
        app.include_router(part.router)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for part in mounted:
            part.close()
        server.should_exit = True
        thread.join(timeout=20)
        metrics.stop()
        listener.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or a skip that says what is missing."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no `chromium` on the path; install it with: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            yield opened
        finally:
            opened.close()
