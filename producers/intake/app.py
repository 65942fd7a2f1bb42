"""Where the intake's real things are chosen: one publisher, one group commit, and the webhook receivers beside them."""

from importlib import import_module
from importlib.util import find_spec

from fastapi import APIRouter

from caudal import tokens
from caudal.clock import SystemClock
from caudal.metrics import Metrics
from caudal.settings import Settings
from caudal.web import Mounted
from producers.intake.events import Intake, router
from producers.intake.group import GroupCommit
from producers.publish import Publisher
from producers.rejected import Rejected
from producers.settings import ProducersSettings

RECEIVERS = ("producers.intake.shopify",)
"""Modules with `build_router(settings, publisher, rejected, metrics) -> APIRouter`."""


def build(settings: Settings, metrics: Metrics | None = None) -> Mounted:
    """Routes of everything that comes over HTTP. Nothing connects before the first request."""
    own = settings.section("producers", ProducersSettings)
    publisher = Publisher(settings, source="http", metrics=metrics, deadline_s=own.intake_deadline_s)
    rejected = Rejected(publisher, own)
    group = GroupCommit(publisher, group_records=own.group_records, waiting=own.intake_waiting)
    store = tokens.open_store(settings.data_dir)
    routes = APIRouter()
    parts = Intake(publisher, group, store, own, settings.web.max_body_bytes, SystemClock(), metrics)
    routes.include_router(router(parts))
    for receiver in RECEIVERS:
        if find_spec(receiver) is not None:
            routes.include_router(import_module(receiver).build_router(settings, publisher, rejected, metrics))

    def close() -> None:
        group.close()
        publisher.close()
        store.close()

    return Mounted(routes, close)
