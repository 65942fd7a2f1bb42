"""A small bank for tests: payments, a running scorer, and the decisions it published."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from pydantic import SecretStr

from caudal.metrics import Metrics
from caudal.settings import RedisSettings, Settings
from producers.publish import Publisher
from schemas.apply import apply
from schemas.load import load_catalog
from serving.features.records import Judges
from serving.features.spec import DAY_MS
from serving.fraud import app
from tests.support.topic import read

CONTRACTS = ("payments.transaction", "payments.account", "fraud.label", "fraud.decision")
START = 20_000 * DAY_MS
# The tests of this folder have a database of their own on the session's server.
DATABASE = 7


def bank_settings(settings: Settings, group: str) -> Settings:
    """The same servers, an own Redis database and consumer group; contracts are applied."""
    url = settings.redis.url.get_secret_value().rpartition("/")[0] + f"/{DATABASE}"
    own = settings.with_(redis=RedisSettings(url=SecretStr(url)), serving={"group": group})
    apply(own, load_catalog(own.contracts_dir), only=CONTRACTS)
    return own


def payment(tenant: str, number: int, at_ms: int, **given: Any) -> dict[str, Any]:
    """One payment with made-up identifiers."""
    return {
        "event_id": f"{tenant}-{number}",
        "tenant_id": tenant,
        "transaction_id": f"t{number}",
        "account_id": "a1",
        "amount": Decimal("50.00"),
        "currency": "BRL",
        "method": "pix",
        "merchant_id": "m1",
        "customer_cpf": "529.982.247-25",
        "device_id": "phone-1",
        "occurred_at": at_ms,
        **given,
    }


def label(tenant: str, number: int, at_ms: int, known_ms: int, merchant: str = "m1") -> dict[str, Any]:
    """A chargeback of that payment."""
    return {
        "event_id": f"{tenant}-l{number}",
        "tenant_id": tenant,
        "transaction_id": f"t{number}",
        "transaction_event_id": f"{tenant}-{number}",
        "merchant_id": merchant,
        "is_fraud": True,
        "kind": "chargeback",
        "transaction_at": at_ms,
        "labelled_at": known_ms,
    }


@contextmanager
def scoring(settings: Settings) -> Iterator[Metrics]:
    """A scorer in a thread of its own, as `caudal run scorer` runs it."""
    stop, metrics = threading.Event(), Metrics("scorer")
    thread = threading.Thread(target=app.serve, args=(settings, metrics, stop))
    thread.start()
    try:
        yield metrics
    finally:
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive()


def decisions(settings: Settings, publisher: Publisher, tenant: str) -> list[tuple[dict[str, Any], bytes]]:
    """All decisions of a tenant that are in Kafka now: the record and its bytes."""
    judge = Judges(lambda name: publisher.contracts.get(name)).judge("fraud.decision")
    found = []
    for message in everything(settings, "fraud.decision"):
        record = judge.decode(message.value())
        if record["tenant_id"] == tenant:
            found.append((record, message.value()))
    return found


def everything(settings: Settings, topic: str) -> list[Any]:
    """Every record of a topic up to its end now."""
    return list(read(settings.kafka.bootstrap, topic))


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition; a test that waits longer has failed."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        pause.wait(0.1)
