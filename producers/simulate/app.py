"""Where the simulators are wired: all of them in threads of one process, until SIGTERM."""

from __future__ import annotations

import secrets
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from caudal import log
from caudal.errors import CaudalError
from caudal.metrics import Metrics
from caudal.settings import Settings
from caudal.tokens import open_store
from producers.connector import States
from producers.delivery import Delivery
from producers.publish import Publisher
from producers.shopify import bindings
from producers.shopify.fake_shop import FakeShops
from producers.shopify.reconcile import Reconciler
from producers.simulate import history
from producers.simulate.clock import SimulatedClock
from producers.simulate.faults import Faults
from producers.simulate.payments import Timeline, factor
from producers.simulate.play_commerce import STATE as COMMERCE_STATE
from producers.simulate.play_commerce import CommercePlayer, bind
from producers.simulate.play_payments import PaymentsPlayer
from producers.simulate.play_product import STATE as PRODUCT_STATE
from producers.simulate.play_product import ProductPlayer, Tokens
from producers.simulate.product import Usage
from producers.simulate.settings import SimulateSettings
from producers.simulate.shopkeeper import Shopkeeper
from producers.simulate.vandal import Vandal

RESTART_S = 2.0
# All threads together; one that waits for a dead broker is left behind.
JOIN_S = 8.0
# The shops and the service live in the days after the payments' history.
DAY_MS = 86_400_000

Work = Callable[[threading.Event], None]


def run(settings: Settings) -> None:
    """Play until SIGTERM or SIGINT, then stop within seconds; started again, the play goes on where it was."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    metrics = Metrics("simulate", settings.run_dir / "metrics").start()
    try:
        play(settings, stop, metrics)
    finally:
        metrics.stop()


def play(settings: Settings, stop: threading.Event, metrics: Metrics) -> None:
    """The same until `stop` is set."""
    own = settings.section("producers.simulate", SimulateSettings)
    archive = settings.data_dir / history.FILE
    if not archive.exists():
        history.write(archive, own)
    timeline, states = Timeline(own), States(settings.data_dir)
    speed = factor(timeline.per_day, own.payments_per_s or 1)
    identity = secrets.token_hex(6)
    publisher = Publisher(settings, source=f"simulator:payments:x{speed}", run=identity, metrics=metrics)
    polled = Publisher(
        settings, source="shopify", metrics=metrics, contracts=publisher.contracts, vault=publisher.vault
    )
    started = round(own.start.timestamp() * 1000) + own.history_days * DAY_MS
    commerce = SimulatedClock(_time(states, COMMERCE_STATE, started), own.commerce_factor)
    product = SimulatedClock(_time(states, PRODUCT_STATE, started), own.product_factor)
    shops = FakeShops(commerce.now_ms).start()
    web = f"http://{settings.web.host}:{settings.web.port}"
    works: dict[str, Work] = {
        "payments": PaymentsPlayer(own, timeline, publisher, states, Faults(settings.run_dir), metrics).run,
        "vandal": partial(_vandalise, settings, own, timeline, publisher),
    }
    if own.webhooks_per_s:
        keepers = [Shopkeeper(index, own.seed) for index in range(own.shops)]
        bound = bind(bindings.Bindings(settings.data_dir).all(), keepers, shops, _origin(own))
        bindings.write(settings.data_dir, bound)
        by_name = {k.name: b for k in keepers for b in bound if b.domain == k.domain}
        works["commerce"] = CommercePlayer(
            keepers, by_name, web, shops, commerce, states, metrics, own.webhooks_per_s
        ).run
        works["poll"] = partial(_poll, settings, own, list(by_name.values()), polled, states, metrics)
    if own.product_per_s:
        usage = Usage(own.seed, own.product_tenants)
        works["product"] = ProductPlayer(
            own,
            usage,
            lambda: Tokens(open_store(settings.data_dir)),
            web,
            product,
            identity,
            states,
            Faults(settings.run_dir),
            metrics,
        ).run
    threads = [
        threading.Thread(target=_keep, args=(name, work, stop), name=name, daemon=True) for name, work in works.items()
    ]
    for thread in threads:
        thread.start()
    metrics.ready()
    stop.wait()
    deadline = time.monotonic() + JOIN_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    shops.stop()
    _quietly(polled.close)
    _quietly(publisher.close)
    states.close()


def _origin(own: SimulateSettings) -> str:
    return f"simulator:commerce:x{own.commerce_factor}"


def _time(states: States, name: str, started_ms: int) -> int:
    """Simulated time of the last change before the process ended, so that time never runs backwards."""
    return int((states.load(name) or {}).get("now_ms", started_ms))


def _keep(name: str, work: Work, stop: threading.Event) -> None:
    """Run one simulator; whatever ends it before its time is logged, and it starts again."""
    while not stop.is_set():
        try:
            work(stop)
        except CaudalError as error:
            log.get("simulate").warning("stopped", simulator=name, **error.facts())
        except Exception as error:  # noqa: BLE001  # one simulator must not end the others
            log.get("simulate").error("failed", simulator=name, error=type(error).__name__, exc_info=True)
        else:
            return
        stop.wait(RESTART_S)


def _poll(
    settings: Settings,
    own: SimulateSettings,
    bound: list[bindings.Binding],
    publisher: Publisher,
    states: States,
    metrics: Metrics,
    stop: threading.Event,
) -> None:
    """The reconciling poll of every shop, one after the other, again and again."""
    with Reconciler(settings, publisher, states, metrics, stop) as reconciler:
        while not stop.wait(own.poll_every_s):
            reconciler.poll(bound)


def _vandalise(
    settings: Settings, own: SimulateSettings, timeline: Timeline, publisher: Publisher, stop: threading.Event
) -> None:
    delivery = Delivery(settings)
    try:
        faults = Faults(settings.run_dir)
        Vandal(timeline, publisher, delivery, partial(_register, settings), faults, own.vandal_every_s).run(stop)
    finally:
        _quietly(delivery.close)


def _register(settings: Settings, subject: str, schema: dict[str, Any]) -> int:
    from schemas.registry import client

    return client.register(client.make(settings), subject, schema)


def _quietly(close: Callable[[], None]) -> None:
    try:
        close()
    except CaudalError as error:
        log.get("simulate").warning("not_closed", code=error.code)
