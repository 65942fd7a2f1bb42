"""From an authentic delivery to Kafka: as an event of its contract, as a delete, or sealed as what was refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NoReturn

from producers.errors import RecordRefused
from producers.intake.shopify_hook import Hook
from producers.intake.shopify_inbox import Delivery
from producers.publish_prepare import Prepared, Refused
from producers.shopify.errors import ShapeError
from producers.shopify.mapping import ORDER, REDACTIONS, TOPICS, deleted_order, event_id, map_payload

if TYPE_CHECKING:
    from caudal.metrics import Metrics
    from producers.publish import Publisher
    from producers.rejected import Rejected

OnDelivery = Callable[[Prepared, str | None], None]
UNFIT = 422


@dataclass(frozen=True)
class Sent:
    """The verdict to give once Kafka has answered; `waits` is False when there was nothing to send."""

    verdict: Delivery
    event_id: str = ""
    waits: bool = True


class _Unfit(Exception):  # a verdict on its way up, not an error of the program
    def __init__(self, status: int, code: str, path: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.path = status, code, path


class Sender:
    """Blocking; called in threads."""

    def __init__(self, publisher: Publisher, rejected: Rejected, metrics: Metrics | None = None) -> None:
        self._publisher, self._rejected, self._metrics = publisher, rejected, metrics

    def send(self, hook: Hook, at_ms: int, on_delivery: OnDelivery) -> Sent:
        """Produce what the delivery means. `at_ms` is when it was first seen.

        Raises TransientError, or UnknownContract while the contract is not released.
        """
        contract = ORDER if hook.topic == "orders/delete" else TOPICS.get(hook.topic, "")
        try:
            if not hook.is_from_bound_domain:
                raise _Unfit(UNFIT, "CDL-SHOP", "X-Shopify-Shop-Domain")
            if hook.topic in REDACTIONS:
                # Kept for whoever answers such requests; the shop's duty is done when we have it.
                raise _Unfit(200, "CDL-REDACT-PENDING")
            if not contract:
                self._count("CDL-TOPIC", "")
                return Sent(Delivery("refused", 200, "CDL-TOPIC"), waits=False)
            payload = _parse(hook.body)
            if hook.topic == "orders/delete":
                return self._delete(hook, payload, on_delivery)
            return self._event(hook, contract, payload, on_delivery)
        except _Unfit as unfit:
            self._count(unfit.code, contract)
            verdict = Delivery("refused", unfit.status, unfit.code, unfit.path)
        except (ShapeError, RecordRefused) as error:
            if isinstance(error, ShapeError):
                self._count(error.code, contract)
            verdict = Delivery("refused", UNFIT, error.code, error.path)
        self._rejected.reject(
            hook.shop_id,
            contract or hook.topic,
            "webhook",
            verdict.code,
            verdict.path or None,
            hook.body,
            # A repetition after a crash must be the same event, to the millisecond.
            event_id=hook.delivery_id[:32],
            at_ms=at_ms,
            on_delivery=on_delivery,
        )
        return Sent(verdict)

    def _event(self, hook: Hook, contract: str, payload: object, on_delivery: OnDelivery) -> Sent:
        fields = {field["name"] for field in self._publisher.contracts.get(contract).contract.latest.avsc["fields"]}
        mapped = map_payload(contract, payload, hook.shop_id, fields)
        answer = self._publisher.prepare_many(
            contract,
            [mapped.event],
            observed_at=hook.observed_ms,
            positions=[f"webhook:{hook.topic}:{hook.webhook_id}"],
            source=hook.source,
        )[0]
        if isinstance(answer, Refused):
            raise answer.error(contract)
        self._publisher.produce(answer, on_delivery)
        return Sent(Delivery("sent"), mapped.event_id)

    def _delete(self, hook: Hook, payload: object, on_delivery: OnDelivery) -> Sent:
        order = deleted_order(payload)
        # The payload has no time: the moment of observation orders the delete behind every state seen before.
        identity = event_id(hook.shop_id, ORDER, f"deleted {order}", 0)
        self._publisher.delete(
            ORDER,
            {"shop_id": hook.shop_id, "order_id": order},
            sequence=[hook.observed_ms],
            event_id=identity,
            observed_at=hook.observed_ms,
            on_delivery=on_delivery,
        )
        return Sent(Delivery("sent"), identity)

    def _count(self, code: str, contract: str) -> None:
        if self._metrics is not None:
            self._metrics.count("caudal_rejects_total", stage="source", code=code, contract=contract)


def _parse(body: bytes) -> object:
    try:
        payload: object = json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, ArithmeticError, RecursionError):
        # The parser's own message quotes the input.
        raise _Unfit(400, "CDL-JSON", "$") from None
    return payload


def _refuse(_: str) -> NoReturn:
    raise ValueError("NaN and infinities are not JSON")
