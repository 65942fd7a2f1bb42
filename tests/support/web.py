"""A web server of a test's own, on a free port, in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from caudal.web import Mounted


@contextmanager
def serving(*parts: Mounted) -> Iterator[str]:
    """Serve these routes over real HTTP; gives the address. What the parts hold is closed at the end."""
    app = FastAPI()
    for part in parts:
        app.include_router(part.router)
    # bound here and handed over, so that nobody else can take the port in between
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for part in parts:
                part.close()
            server.should_exit = True
            thread.join(timeout=30)
