"""One authentic delivery: what its headers say, as far as they can be believed."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from producers.intake.errors import HttpRefused
from producers.intake.shopify_inbox import delivery_id
from producers.intake.shopify_signature import is_signed
from producers.shopify.bindings import Binding
from producers.shopify.errors import ShapeError
from producers.shopify.fields import time_ms

if TYPE_CHECKING:
    from starlette.datastructures import Headers

_VERSION = re.compile(r"\d{4}-\d{2}|unstable")
_TOPIC = re.compile(r"[a-z_]{1,40}/[a-z_]{1,40}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Hook:
    """A delivery whose body a secret of the shop has signed. Headers are not signed: none of them decides a tenant.

    `observed_ms` is the wall clock for a real shop and the shop's own clock for a simulated one.
    """

    shop_id: str
    source: str
    topic: str
    webhook_id: str
    delivery_id: str
    body: bytes
    received_ms: int
    observed_ms: int
    is_from_bound_domain: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.shop_id, self.delivery_id


def admit(binding: Binding, headers: Headers, body: bytes) -> Hook:
    """The delivery, or HttpRefused 401 without a reason when it is not the shop's."""
    given = headers.getlist("x-shopify-hmac-sha256")
    if not is_signed(given, body, (secret.get_secret_value() for secret in binding.secrets)):
        raise HttpRefused(401, "CDL-SIGNATURE", "not authorised")
    topic, webhook_id = headers.get("x-shopify-topic", ""), headers.get("x-shopify-webhook-id", "")
    version = headers.get("x-shopify-api-version", "")
    received = time.time_ns() // 1_000_000
    identity = delivery_id(webhook_id, topic, body)
    domains = [domain.strip().lower() for domain in headers.getlist("x-shopify-shop-domain")]
    return Hook(
        shop_id=binding.shop_id,
        source=f"{binding.origin or 'shopify'}:{version if _VERSION.fullmatch(version) else 'unknown'}",
        # Whatever else stands in these two stays out of the lake: nobody has signed it.
        topic=topic if _TOPIC.fullmatch(topic) else "unknown",
        webhook_id=webhook_id if _ID.fullmatch(webhook_id) else identity[:32],
        delivery_id=identity,
        body=body,
        received_ms=received,
        observed_ms=_triggered(headers, received) if binding.origin else received,
        is_from_bound_domain=domains == [binding.domain.lower()],
    )


def _triggered(headers: Headers, received_ms: int) -> int:
    try:
        return time_ms({"at": headers.get("x-shopify-triggered-at")}, "at") or received_ms
    except ShapeError:
        return received_ms
