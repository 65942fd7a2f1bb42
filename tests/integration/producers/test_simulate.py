"""The simulators on a real broker and a real intake: history, live play, trouble, and going on after a stop."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from caudal.metrics import Metrics
from caudal.settings import Settings, WebSettings
from producers.connector import States
from producers.intake.app import build
from producers.simulate import faults
from producers.simulate.app import play
from producers.simulate.history import FILE
from producers.simulate.payments import ACCOUNT, LABEL, TENANTS, TRANSACTION
from producers.simulate.play_payments import STATE
from schemas.load import load_catalog
from schemas.registry import client as registry
from tests.support.shops import Message, arrived, release, serve
from tests.support.topic import read

pytestmark = pytest.mark.kafka
SIMULATE = {
    "customers": 30,
    "history_days": 12,
    "payments_per_s": 30,
    "webhooks_per_s": 20,
    "product_per_s": 40,
    "product_tenants": 6,
    "product_batch": 10,
    "poll_every_s": 1,
    "vandal_every_s": 0.5,
}


def wait(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


@contextmanager
def playing(settings: Settings, metrics: Metrics) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=play, args=(settings, stop, metrics))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def counted(metrics: Metrics, name: str, **labels: str) -> float:
    """Sum of a counter over all label sets that contain these labels."""
    samples = metrics.snapshot()["counters"]
    wanted = labels.items()
    return float(sum(s["value"] for s in samples if s["name"] == name and wanted <= s["labels"].items()))


def payments(settings: Settings, contract: str) -> list[Message]:
    return [message for tenant in TENANTS for message in arrived(settings, contract, tenant)]


def bodies(settings: Settings, contract: str) -> list[bytes | None]:
    """Every value of a topic, readable or not."""
    return [message.value() for message in read(settings.kafka.bootstrap, contract)]


def test_a_day_at_the_simulators(settings: Settings) -> None:
    """All sources deliver, bad input is among it, faults can be switched on, and a second start goes on."""
    release(settings, *load_catalog(settings.contracts_dir))
    settings = settings.with_(producers={"simulate": SIMULATE})
    web, simulated = Metrics("web"), Metrics("simulate")
    mounted = build(settings, web)
    with serve(mounted.router) as url:
        settings = settings.with_(web=WebSettings(port=int(url.rpartition(":")[2])))
        with playing(settings, simulated):
            wait(lambda: "history_published" in simulated.snapshot()["marks"])
            wait(lambda: counted(web, "caudal_rows_total", contract="product.event", stage="kafka") >= 100)
            wait(lambda: counted(web, "caudal_rows_total", contract="commerce.order", stage="kafka") >= 60)
            wait(lambda: counted(simulated, "caudal_reconciled_total") >= 1)
            wait(lambda: counted(web, "caudal_rejects_total", code="CDL-SIGNATURE") >= 1)
            for fault in faults.FAULTS:
                faults.start(settings.run_dir, fault)
            rogue = lambda: registry.registered(registry.make(settings), "rogue.payments.transaction-value")  # noqa: E731
            wait(lambda: bool(rogue()))
            wait(lambda: any(_is_late(message) for message in payments(settings, TRANSACTION)))
            for fault in faults.FAULTS:
                faults.stop(settings.run_dir, fault)
    states = States(settings.data_dir)
    row = (states.load(STATE) or {})["row"]
    states.close()

    transactions = payments(settings, TRANSACTION)
    known = {m.wire["event_id"]: m.wire for m in transactions if m.wire}
    with np.load(settings.data_dir / FILE) as history:
        assert set(history["event_id"].tolist()) <= known.keys()
        rows = len(history["event_id"])
    assert row > rows
    labels = [m.wire for m in payments(settings, LABEL) if m.wire]
    assert {label["transaction_event_id"] for label in labels} <= known.keys()
    assert {"c", "u", "d"} == {m.wire["_op"] for m in payments(settings, ACCOUNT) if m.wire}
    sources = {wire["origin"]["source"] for wire in known.values()}
    assert all(source.startswith("simulator:payments:x") for source in sources)
    assert _spoilt(bodies(settings, TRANSACTION)) >= {"null", "magic", "clear", "foreign id"}
    repeated = Counter(m.wire["event_id"] for m in transactions if m.wire)
    assert max(repeated.values()) > 1

    again = Metrics("simulate")
    with playing(settings, again):
        wait(lambda: counted(again, "caudal_rows_total", contract=TRANSACTION, stage="kafka") >= 40)
    news = {m.wire["event_id"] for m in payments(settings, TRANSACTION) if m.wire} - known.keys()
    assert news
    # The history is not published a second time.
    assert counted(again, "caudal_rows_total", contract=TRANSACTION) < rows
    mounted.close()


def _is_late(message: Message) -> bool:
    return bool(message.wire) and message.wire is not None and message.wire["event_id"].endswith("-late")


def _spoilt(values: list[bytes | None]) -> set[str]:
    good_id = Counter(value[:5] for value in values if value).most_common(1)[0][0]
    found: set[str] = set()
    for value in values:
        if value is None:
            found.add("null")
        elif value[0] != 0:
            found.add("magic")
        elif value[:5] != good_id:
            found.add("foreign id")
        elif _has_clear_cpf(value):
            found.add("clear")
    return found


def _has_clear_cpf(value: bytes) -> bool:
    import re

    return re.search(rb"\d{3}\.\d{3}\.\d{3}-\d{2}", value) is not None
