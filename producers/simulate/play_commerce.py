"""Plays the shops: each change goes to the fake shop and, signed as Shopify signs, to the webhook receiver."""

from __future__ import annotations

import heapq
import random
import secrets
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from caudal import log
from caudal.clock import Clock
from caudal.metrics import Metrics
from producers.connector import States
from producers.intake.shopify_signature import sign
from producers.shopify.bindings import Binding
from producers.shopify.fake_shop import FakeShops
from producers.shopify.mapping import TOPICS
from producers.simulate.clock import Pace
from producers.simulate.payloads import iso
from producers.simulate.shopkeeper import Change, Shopkeeper

STATE = "simulate:commerce"
ATTEMPTS = 8
# More deliveries than this wait for an answer: the receiver is away, and the shops pause.
BACKLOG = 400
TIMEOUT_S = 10.0


@dataclass(order=True)
class Delivery:
    """One POST to be made at `due` (monotonic seconds)."""

    due: float
    number: int
    change: Change = field(compare=False)
    body: bytes = field(compare=False)
    webhook_id: str = field(compare=False)
    triggered: str = field(compare=False)
    attempt: int = field(compare=False, default=0)


class CommercePlayer:
    """One thread's work: `run` returns when told to stop."""

    def __init__(
        self,
        keepers: list[Shopkeeper],
        bindings: dict[str, Binding],
        receiver_url: str,
        shops: FakeShops,
        clock: Clock,
        states: States,
        metrics: Metrics,
        rate: float,
    ) -> None:
        """`bindings` by shop name; `receiver_url` is the web process's address."""
        self._keepers, self._bindings, self._shops = keepers, bindings, shops
        self._url, self._clock, self._states = receiver_url.rstrip("/"), clock, states
        self._metrics, self._pace, self._rate = metrics, Pace(rate), rate
        self._waiting: list[Delivery] = []
        self._sent = 0
        self._log = log.get("simulate.commerce")

    def run(self, stop: threading.Event) -> None:
        """Play until told to stop."""
        number = int((self._states.load(STATE) or {}).get("number", 0))
        with httpx2.Client(timeout=TIMEOUT_S) as client:
            while not stop.wait(self._pace.wait_s()):
                if len(self._waiting) < BACKLOG:
                    self._happen(number)
                    number += 1
                    self._states.save(STATE, {"number": number, "now_ms": self._clock.now_ms()})
                while self._waiting and self._waiting[0].due <= time.monotonic() and not stop.is_set():
                    self._deliver(client, heapq.heappop(self._waiting))

    def _happen(self, number: int) -> None:
        now_ms = self._clock.now_ms()
        change = self._keepers[number % len(self._keepers)].next(number, now_ms)
        contract = TOPICS[change.topic]
        self._metrics.count("caudal_simulated_total", contract=contract, fate=change.fate)
        kind = {"commerce.order": "orders", "commerce.customer": "customers"}.get(contract)
        if kind is not None:
            self._shops.put(self._bindings[change.shop].domain, kind, change.payload)
        if change.fate == "lost":
            return
        due = time.monotonic() + change.held / self._rate
        first = Delivery(due, self._next(), change, change.body(), secrets.token_hex(16), iso(now_ms))
        heapq.heappush(self._waiting, first)
        for repeat in range(change.repeats):
            # Half of the repetitions are retries of one delivery, the others come from a second subscription.
            webhook_id = first.webhook_id if (number + repeat) % 2 else secrets.token_hex(16)
            again = replace(first, due=due + (repeat + 1) * 2 / self._rate, number=self._next(), webhook_id=webhook_id)
            heapq.heappush(self._waiting, again)

    def _deliver(self, client: httpx2.Client, delivery: Delivery) -> None:
        binding = self._bindings[delivery.change.shop]
        try:
            answer = client.post(
                f"{self._url}/webhooks/shopify/{binding.path_secret.get_secret_value()}",
                content=delivery.body,
                headers=headers(binding, delivery),
            )
            status = answer.status_code
        except httpx2.TransportError:
            status = 0
        self._metrics.count("caudal_webhooks_total", status=str(status))
        if status == 0 or status == 429 or status >= 500:
            self._again(delivery)

    def _again(self, delivery: Delivery) -> None:
        """As a shop does: some more attempts, further and further apart; then the poll has to find it."""
        if delivery.attempt + 1 < ATTEMPTS:
            wait = min(2.0**delivery.attempt, 30.0) * (0.5 + random.random())
            due = time.monotonic() + wait
            heapq.heappush(self._waiting, replace(delivery, due=due, attempt=delivery.attempt + 1))

    def _next(self) -> int:
        self._sent += 1
        return self._sent


def headers(binding: Binding, delivery: Delivery) -> dict[str, str]:
    """Shopify's headers; a forged delivery is signed with somebody else's secret."""
    forged = delivery.change.fate == "forged"
    secret = "somebody-else" if forged else binding.secrets[0].get_secret_value()
    return {
        "Content-Type": "application/json",
        "X-Shopify-Topic": delivery.change.topic,
        "X-Shopify-Shop-Domain": binding.domain,
        "X-Shopify-API-Version": delivery.change.version,
        "X-Shopify-Webhook-Id": delivery.webhook_id,
        "X-Shopify-Triggered-At": delivery.triggered,
        "X-Shopify-Hmac-SHA256": sign(secret, delivery.body),
    }


def bind(existing: list[Binding], keepers: list[Shopkeeper], shops: FakeShops, origin: str) -> list[Binding]:
    """Bindings of the simulated shops, with their secrets kept from an earlier start; other shops stay as they are."""
    known = {binding.domain: binding for binding in existing}
    bound: list[Binding] = []
    for keeper in keepers:
        old = known.pop(keeper.domain, None)
        given: dict[str, Any] = {
            "path_secret": old.path_secret if old else secrets.token_urlsafe(32),
            "secrets": old.secrets if old else (secrets.token_hex(32),),
            "api_token": old.api_token if old else f"shpat_{secrets.token_hex(16)}",
        }
        binding = Binding(shop_id=keeper.shop_id, domain=keeper.domain, origin=origin, **given)
        address = shops.open(keeper.domain, binding.api_token.get_secret_value())
        bound.append(binding.model_copy(update={"api_url": address}))
    return [*known.values(), *bound]
