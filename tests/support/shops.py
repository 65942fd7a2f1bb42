"""A bound shop, its receiver on a real port, and what of it has arrived on Kafka."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import fastavro
import httpx2
import uvicorn
from fastapi import APIRouter, FastAPI

from caudal.settings import Settings
from producers.intake.shopify_signature import sign
from producers.shopify import bindings
from producers.shopify.bindings import Binding
from schemas.apply import apply, first_error
from schemas.load import load_catalog
from tests.support.topic import read

COMMERCE = ("commerce.order", "commerce.customer", "commerce.refund", "caudal.rejected")
_applied: set[tuple[str, str]] = set()


def release(settings: Settings, *contracts: str) -> None:
    """Apply contracts on the session's servers, once."""
    wanted = [name for name in contracts if (settings.kafka.bootstrap, name) not in _applied]
    if wanted:
        error = first_error(apply(settings, load_catalog(settings.contracts_dir), only=wanted))
        assert error is None, error
        _applied.update((settings.kafka.bootstrap, name) for name in wanted)


@dataclass(frozen=True)
class Message:
    """One record on Kafka; `wire` is None when it is no record of the contract."""

    key: list[Any]
    value: bytes | None
    headers: dict[str, bytes]
    wire: dict[str, Any] | None


def arrived(settings: Settings, contract: str, tenant: str) -> list[Message]:
    """All records of one tenant that are on the contract's topic now, in order of partition and offset."""
    avsc = load_catalog(settings.contracts_dir)[contract].latest.wire
    schema = fastavro.parse_schema(json.loads(json.dumps(avsc)), named_schemas={})
    found: list[Message] = []
    for message in read(settings.kafka.bootstrap, contract):
        key = json.loads(message.key() or b"")
        if key[0] == tenant:
            headers = dict(message.headers() or [])
            found.append(Message(key, message.value(), headers, _decode(message.value(), schema)))
    return found


def _decode(value: bytes | None, schema: Any) -> dict[str, Any] | None:
    try:
        return dict(fastavro.schemaless_reader(io.BytesIO((value or b"")[5:]), schema, None))
    except Exception:  # noqa: BLE001  # whatever a spoilt body makes fastavro raise, it is no record
        return None


@dataclass
class Shop:
    """A shop bound in an install, and a client that sends as Shopify does."""

    settings: Settings
    binding: Binding
    url: str = ""
    client: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=20))

    def headers(self, body: bytes, topic: str = "orders/create", webhook_id: str = "w1") -> dict[str, str]:
        """The headers of a delivery, signed."""
        return {
            "X-Shopify-Topic": topic,
            "X-Shopify-Shop-Domain": self.binding.domain,
            "X-Shopify-API-Version": "2024-10",
            "X-Shopify-Webhook-Id": webhook_id,
            "X-Shopify-Hmac-SHA256": sign(self.binding.secrets[0].get_secret_value(), body),
        }

    def send(
        self, payload: object, topic: str = "orders/create", webhook_id: str = "w1", **headers: str
    ) -> httpx2.Response:
        """Deliver a payload (bytes as they are, all else as JSON); `headers` replace the usual ones."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.post(body, self.headers(body, topic, webhook_id) | headers)

    def post(self, body: bytes, headers: Any, path: str = "") -> httpx2.Response:
        """POST to the shop's path, or another one."""
        secret = path or self.binding.path_secret.get_secret_value()
        return self.client.post(f"{self.url}/webhooks/shopify/{secret}", content=body, headers=headers)

    def arrived(self, contract: str = "commerce.order") -> list[Message]:
        """What of this shop is on Kafka."""
        return arrived(self.settings, contract, self.binding.shop_id)


def bind(settings: Settings, name: str, **more: Any) -> Shop:
    """A shop of that name, bound in the install's file."""
    given: dict[str, Any] = {"path_secret": f"{name}-{'p' * 32}", "secrets": (f"{name}-secret",)} | more
    binding = Binding(shop_id=name, domain=f"{name}.myshopify.com", **given)
    bindings.write(settings.data_dir, [binding])
    return Shop(settings, binding)


@contextmanager
def serve(router: APIRouter) -> Iterator[str]:
    """The router behind a real HTTP server; yields its address."""
    app = FastAPI()
    app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", access_log=False))
    started = threading.Event()
    server.config.load()
    original = server.startup

    async def startup(sockets: Any = None) -> None:
        await original(sockets)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
