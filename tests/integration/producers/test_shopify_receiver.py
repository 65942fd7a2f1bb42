"""The webhook receiver on a real port and a real broker: nothing forged gets in, nothing authentic gets lost."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from caudal.metrics import Metrics
from caudal.settings import KafkaSettings, Settings, environment, load
from producers.intake.app import build
from producers.intake.shopify import build_router
from producers.intake.shopify_inbox import FILE, Inbox
from producers.intake.shopify_signature import sign
from producers.publish import Publisher
from producers.rejected import Rejected
from producers.settings import ProducersSettings
from producers.simulate.payloads import fixture
from tests.support.shops import COMMERCE, Shop, bind, release, serve

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def shop(settings: Settings) -> Iterator[Shop]:
    """A shop of this test alone, behind the install's intake."""
    release(settings, *COMMERCE)
    bound = bind(settings, f"shop-{uuid.uuid4().hex[:12]}")
    mounted = build(settings, Metrics("test"))
    with serve(mounted.router) as bound.url:
        yield bound
    mounted.close()
    bound.client.close()


def order(**changes: Any) -> dict[str, Any]:
    return fixture("2024-10", "orders/create") | changes


def test_a_good_delivery_becomes_a_sealed_event(shop: Shop) -> None:
    """200 comes after Kafka has the event, with its origin, without a personal value."""
    answer = shop.send(order(), webhook_id="abc-1")
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    (message,) = shop.arrived()
    assert message.key == [shop.binding.shop_id, "820982911946154508"]
    assert message.wire is not None
    assert message.wire["origin"]["source"] == "shopify:2024-10"
    assert message.wire["origin"]["position"] == "webhook:orders/create:abc-1"
    assert message.wire["customer_email"]["mask"] == "jo***@example.com"
    assert message.value is not None
    for personal in (b"john@example.com", b"Smith", b"123 Shipping Street"):
        assert personal not in message.value


def test_what_is_not_signed_by_the_shop_leaves_no_trace(shop: Shop) -> None:
    """Wrong, missing, doubled and differently spelt signatures get the same 401, and nothing is kept."""
    body = json.dumps(order()).encode()
    good = shop.headers(body)
    name = "X-Shopify-Hmac-SHA256"
    rest = [(key, value) for key, value in good.items() if key != name]
    attempts: list[tuple[bytes, list[tuple[str, str]]]] = [
        (body, rest),
        (body, [*rest, (name, "")]),
        (body, [*rest, (name, good[name]), (name, good[name])]),
        (body, [*rest, (name, base64.b64decode(good[name]).hex())]),
        (body, [*rest, (name, sign("another-shops-secret", body))]),
        (body[:-1] + b" }", [*rest, (name, good[name])]),
        (json.dumps(order(), indent=1).encode(), [*rest, (name, good[name])]),
    ]
    answers = [shop.post(content, headers) for content, headers in attempts]
    assert {401} == {answer.status_code for answer in answers}
    assert len({answer.content for answer in answers}) == 1
    assert [] == shop.arrived() == shop.arrived("caudal.rejected")
    assert not (shop.settings.data_dir / FILE).exists()


def test_an_unknown_path_is_no_path(shop: Shop) -> None:
    """A wrong path secret is answered like any address that does not exist, whatever the headers say."""
    body = json.dumps(order()).encode()
    unknown = shop.post(body, shop.headers(body), path="q" * 32)
    nothing = shop.client.post(f"{shop.url}/no/such/path", content=body)
    assert (404, nothing.content) == (unknown.status_code, unknown.content)


def test_a_body_over_the_limit_is_not_read(shop: Shop) -> None:
    """413 with or without a declared length."""
    body = b"x" * (shop.settings.web.max_body_bytes + 1)
    assert shop.post(body, shop.headers(body)).status_code == 413

    def stream() -> Iterator[bytes]:
        for _ in range(6):
            yield body[: 1024 * 1024]

    url = f"{shop.url}/webhooks/shopify/{shop.binding.path_secret.get_secret_value()}"
    assert shop.client.post(url, content=stream(), headers=shop.headers(body)).status_code == 413


def test_both_secrets_count_while_one_is_rotated(settings: Settings) -> None:
    """A new binding file is used without a restart, and old and new secrets are good."""
    release(settings, *COMMERCE)
    name = f"shop-{uuid.uuid4().hex[:12]}"
    shop = bind(settings, name)
    mounted = build(settings)
    with serve(mounted.router) as shop.url:
        assert shop.send(order()).status_code == 200
        renewed = bind(settings, name, secrets=("renewed-secret", f"{name}-secret"))
        renewed.url = shop.url
        assert renewed.send(order(updated_at="2022-01-01T00:00:00Z"), webhook_id="w2").status_code == 200
        assert shop.send(order(updated_at="2022-01-02T00:00:00Z"), webhook_id="w3").status_code == 200
        renewed.client.close()
    mounted.close()
    shop.client.close()
    assert len(shop.arrived()) == 3


def test_a_hundred_repetitions_are_one_event(shop: Shop) -> None:
    """One delivery repeated a hundred times, also at the same moment, is one record; a new id is the same event."""
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: shop.send(order()).status_code, range(100)))
    assert answers == [200] * 100
    assert len(shop.arrived()) == 1
    assert shop.send(order(), webhook_id="w2").status_code == 200
    assert shop.send(order(), topic="orders/paid", webhook_id="w3").status_code == 200
    messages = shop.arrived()
    assert len({message.wire["event_id"] for message in messages if message.wire}) == 1


Unfit = tuple[object, str, dict[str, str], int, str, str | None]
UNFIT: list[Unfit] = [
    (b'{"id": 1', "orders/create", {}, 400, "CDL-JSON", "$"),
    (b"\xff\xfe\x00\x01", "orders/create", {}, 400, "CDL-JSON", "$"),
    (b'{"id": NaN}', "orders/create", {}, 400, "CDL-JSON", "$"),
    (b"[" * 100_000, "orders/create", {}, 400, "CDL-JSON", "$"),
    ([order()], "orders/create", {}, 422, "CDL-SHAPE", "$"),
    (order(total_price="12.345"), "orders/create", {}, 422, "CDL-SHAPE", "total_price"),
    (order(), "customers/update", {}, 422, "CDL-SHAPE", "admin_graphql_api_id"),
    (order(), "orders/delete", {}, 422, "CDL-SHAPE", "$"),
    (order(total_price="-1.00"), "orders/create", {}, 422, "CDL-RULE-NEG_TOTAL", None),
    (order(updated_at="2999-01-01T00:00:00Z"), "orders/create", {}, 422, "CDL-FUTURE", "updated_at"),
    (order(), "orders/create", {"X-Shopify-Shop-Domain": "b.myshopify.com"}, 422, "CDL-SHOP", "X-Shopify-Shop-Domain"),
    (fixture("2024-10", "customers/redact"), "customers/redact", {}, 200, "CDL-REDACT-PENDING", None),
]


def test_authentic_but_unfit_is_kept_sealed(shop: Shop) -> None:
    """The answer says code and field, and the whole request lies sealed on caudal.rejected, once however often sent."""
    for number, (payload, topic, headers, status, code, path) in enumerate(UNFIT):
        answers = [shop.send(payload, topic, f"w{number}", **headers) for _ in range(2)]
        found = [(answer.status_code, answer.json()["code"], answer.json().get("path")) for answer in answers]
        assert found == [(status, code, path)] * 2
    kept = [message for message in shop.arrived("caudal.rejected") if message.wire]
    assert sorted(unfit[4] for unfit in UNFIT) == sorted(message.wire["code"] for message in kept if message.wire)
    for message in kept:
        assert message.wire is not None
        assert (message.wire["route"], message.wire["payload"]["mask"]) == ("webhook", "***")
        assert b"john@example.com" not in (message.value or b"")
    assert shop.arrived() == []


def test_other_topics_are_taken_and_ignored(shop: Shop) -> None:
    """A topic without a contract is answered 200, so that the shop does not end its subscription."""
    answer = shop.send({"id": 1}, topic="products/update")
    assert (answer.status_code, answer.json()["code"]) == (200, "CDL-TOPIC")
    assert shop.arrived("caudal.rejected") == []


def test_customers_and_refunds_have_their_contracts(shop: Shop) -> None:
    """Every topic lands under its own contract."""
    assert shop.send(fixture("2023-07", "customers/create"), "customers/create").status_code == 200
    assert shop.send(fixture("2024-07", "refunds/create"), "refunds/create").status_code == 200
    assert 1 == len(shop.arrived("commerce.customer")) == len(shop.arrived("commerce.refund"))


def test_a_deleted_order_is_a_delete(shop: Shop) -> None:
    """orders/delete becomes a null value with the headers that streaming needs."""
    assert shop.send(order()).status_code == 200
    assert shop.send(b'{"id": 820982911946154508}', "orders/delete", "w2").status_code == 200
    delete = next(message for message in shop.arrived() if message.value is None)
    assert delete.key == [shop.binding.shop_id, "820982911946154508"]
    assert {"caudal-event-id", "caudal-sequence", "caudal-observed-at"} == delete.headers.keys()


@pytest.mark.parametrize(("crash", "records"), [("shopify.claimed", 1), ("shopify.acknowledged", 2)])
def test_a_crash_before_the_answer_loses_and_doubles_nothing(settings: Settings, crash: str, records: int) -> None:
    """Killed between receipt and answer, the receiver takes the shop's repetition, and it is one event."""
    release(settings, *COMMERCE)
    shop = bind(settings, f"shop-{uuid.uuid4().hex[:12]}")
    armed = {"CAUDAL_CRASHPOINT": f"{crash}:1", "CAUDAL_CRASH_DIR": str(settings.run_dir / "crash")}
    with process(settings, armed) as shop.url, pytest.raises(httpx2.TransportError):
        shop.send(order())
    assert (settings.run_dir / "crash" / crash).exists()
    inbox = Inbox.of(settings)
    assert set() == inbox.sent([])
    inbox.close()
    shop.client.close()
    with process(settings, {}) as shop.url:
        shop.client = httpx2.Client(timeout=20)
        assert [shop.send(order()).status_code for _ in range(2)] == [200, 200]
        shop.client.close()
    messages = shop.arrived()
    assert records == len(messages)
    assert len({message.wire["event_id"] for message in messages if message.wire}) == 1


def test_without_the_broker_the_shop_is_told_to_come_again(settings: Settings) -> None:
    """503 with Retry-After before Shopify hangs up, the inbox stays pending, and the repetition is delivered once."""
    release(settings, *COMMERCE)
    shop = bind(settings, f"shop-{uuid.uuid4().hex[:12]}")
    own = ProducersSettings()
    live = Publisher(settings, source="http")
    live.contracts.get("commerce.order")
    # Nobody listens there: contracts and vault are at hand, only Kafka is away.
    away = settings.with_(kafka=KafkaSettings(bootstrap="127.0.0.1:9"))
    cut_off = Publisher(away, source="http", contracts=live.contracts, vault=live.vault, deadline_s=3)
    with serve(build_router(settings, cut_off, Rejected(cut_off, own))) as shop.url:
        began = time.monotonic()
        answer = shop.send(order())
        assert answer.status_code == 503
        assert time.monotonic() - began < 5
        assert int(answer.headers["Retry-After"]) > 0
    with serve(build_router(settings, live, Rejected(live, own))) as shop.url:
        shop.client = httpx2.Client(timeout=20)
        assert [shop.send(order()).status_code for _ in range(2)] == [200, 200]
    shop.client.close()
    live.close()
    assert len(shop.arrived()) == 1


class process:  # reads as a verb in `with process(…)`
    """The intake in a process group of its own."""

    def __init__(self, settings: Settings, extra: dict[str, str]) -> None:
        given = load(
            {
                "data_dir": str(settings.data_dir),
                "kafka.bootstrap": settings.kafka.bootstrap,
                "registry.url": settings.registry.url,
            },
            {},
        )
        self._env = {**os.environ, **environment(given), **extra}

    def __enter__(self) -> str:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.support.receiver_process"],
            cwd=ROOT,
            env=self._env,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        if self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        assert self._child.stdout is not None
        self._child.stdout.close()
