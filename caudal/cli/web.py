"""The one web process: receiver, ingestion, scoring, API and dashboard on one port."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from caudal import __version__, log
from caudal.metrics import Metrics
from caudal.settings import Settings
from caudal.web import Mounted

if TYPE_CHECKING:
    from fastapi import FastAPI

PARTS = (
    "producers.intake.app",
    "serving.fraud.api",
    "serving.api.app",
)


class DeadLetters:
    """Quarantine as the dashboard may read it; serving itself does not know streaming."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def listed(self, where: dict[str, str], limit: int) -> list[dict[str, Any]]:
        """The newest letters of a contract, code and path (each optional), with their coordinates."""
        from caudal.lake import Lake
        from streaming import letters

        wanted = letters.Wanted(where.get("contract"), where.get("code"), where.get("path"))
        return letters.listed(Lake.open(self._settings), wanted, limit)

    def explained(self, topic: str, partition: int, offset: int) -> dict[str, Any] | None:
        """All that is known of one letter; None when nothing was refused there."""
        from caudal.lake import Lake
        from schemas.load import load_catalog
        from streaming import letters
        from streaming.errors import NoDeadLetter

        contracts = load_catalog(self._settings.contracts_dir)
        try:
            found = letters.explained(Lake.open(self._settings), contracts, topic, partition, offset)
        except NoDeadLetter:
            return None
        return {**found, "runbook": f"{self._settings.alerts.runbook}#{found['letter']['code'].lower()}"}


def build(settings: Settings, metrics: Metrics) -> FastAPI:
    """The application with every part mounted. Nothing outside this machine is loaded by any page."""
    from fastapi import FastAPI

    parts = [cast("Mounted", importlib.import_module(name).build(settings, metrics)) for name in PARTS]
    # last, because order matters for routes that could overlap
    dashboard = importlib.import_module("serving.dashboard.app")
    parts.append(dashboard.build(settings, metrics, DeadLetters(settings)))

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        metrics.ready(True)
        yield
        metrics.ready(False)
        for part in parts:
            part.close()

    # The stock documentation page loads scripts from elsewhere, so it is off; /openapi.json stays.
    app = FastAPI(title="Caudal", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan)
    for part in parts:
        app.include_router(part.router)
    return app


def run(settings: Settings) -> None:
    """Serve until SIGTERM. Connections are given a few seconds to end; event streams are cut."""
    import uvicorn

    metrics = Metrics("web", settings.run_dir / "metrics").start()
    app = build(settings, metrics)
    log.get("web").info("serving", host=settings.web.host, port=settings.web.port)
    try:
        uvicorn.run(
            app,
            host=settings.web.host,
            port=settings.web.port,
            log_level="warning",
            access_log=False,  # a path may hold a webhook's secret
            timeout_graceful_shutdown=3,
            server_header=False,
        )
    finally:
        metrics.stop()
