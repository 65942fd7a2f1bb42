"""Shopify payloads of any API version as events of our contracts.

Ids are read from the text of `admin_graphql_api_id` where there is one, because numeric ids may have been rounded on
the way; money is read as text into Decimal, times as epoch milliseconds. What a version does not know is left out.

The event id is a hash of (shop, kind, entity id, `updated_at`): the webhook, its repetition under another delivery id
and the poll all give one id for one state of an entity, so what comes second is a duplicate, not a second change.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from producers.shopify.errors import ShapeError
from producers.shopify.fields import (
    Payload,
    exact_id,
    flag,
    full_name,
    id_or_none,
    money,
    needed,
    number_id,
    object_,
    objects,
    of_kind,
    one_line,
    text,
    time_ms,
    whole,
)

ORDER, CUSTOMER, REFUND = "commerce.order", "commerce.customer", "commerce.refund"
TOPICS: dict[str, str] = {
    **{f"orders/{what}": ORDER for what in ("create", "updated", "paid", "cancelled", "fulfilled")},
    **{f"customers/{what}": CUSTOMER for what in ("create", "update", "enable", "disable")},
    "refunds/create": REFUND,
}
# Requests of the privacy law: never lost, and answered by people and the erasure command.
REDACTIONS = frozenset({"customers/redact", "shop/redact", "customers/data_request"})
# Fields that came with version 2 of commerce.order; published once the contract has them.
OPTIONAL = frozenset({"business_entity_id", "duties_included"})


@dataclass(frozen=True)
class Mapped:
    """An event ready for the publisher. `changed_ms` is the entity's own time of change."""

    contract: str
    event_id: str
    changed_ms: int
    event: dict[str, Any]


def map_payload(contract: str, payload: object, shop_id: str, fields: Collection[str]) -> Mapped:
    """The event in a payload. `fields` are those of the contract's newest version: optional ones it lacks are dropped.

    Raises ShapeError naming the first field that does not fit.
    """
    if not isinstance(payload, Mapping):
        raise ShapeError("$", "an object is needed")
    event = _MAPPERS[contract](payload, shop_id)
    changed = event["created_at" if contract == REFUND else "updated_at"]
    entity = event[{ORDER: "order_id", CUSTOMER: "customer_id", REFUND: "refund_id"}[contract]]
    event["event_id"] = event_id(shop_id, contract, entity, changed)
    known = {name: value for name, value in event.items() if name not in OPTIONAL or name in fields}
    return Mapped(contract, event["event_id"], changed, known)


def event_id(shop_id: str, contract: str, entity: str, changed_ms: int) -> str:
    """Identity of one state of one entity, 32 hexadecimal digits."""
    identity = "\x1f".join((shop_id, contract, entity, str(changed_ms)))
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def deleted_order(payload: object) -> str:
    """The id in an `orders/delete` payload, which holds nothing else.

    The topic header is not signed: a body with further fields is some other topic's and must not delete anything.
    """
    if not isinstance(payload, Mapping) or set(payload) != {"id"}:
        raise ShapeError("$", "a deletion holds the id only")
    return number_id(payload, "id")


def _order(payload: Payload, shop_id: str) -> dict[str, Any]:
    of_kind(payload, "Order")
    customer = object_(payload, "customer")
    address = object_(payload, "shipping_address")
    lines = objects(payload, "line_items")
    shipping = object_(object_(payload, "total_shipping_price_set"), "shop_money", "total_shipping_price_set.")
    items = [_line(line, f"line_items[{i}].") for i, line in enumerate(lines)]
    return {
        "shop_id": shop_id,
        "order_id": exact_id(payload),
        "order_name": text(payload, "name"),
        "financial_status": text(payload, "financial_status"),
        "fulfillment_status": text(payload, "fulfillment_status"),
        "currency": needed(text(payload, "currency"), "currency"),
        "total": needed(money(payload, "total_price"), "total_price"),
        "subtotal": money(payload, "subtotal_price"),
        "discounts": money(payload, "total_discounts"),
        "tax": money(payload, "total_tax"),
        "shipping": money(shipping, "amount", "total_shipping_price_set.shop_money."),
        "items_count": sum(item["quantity"] for item in items),
        "line_items": items,
        "customer_id": exact_id(customer, "customer.") if customer else None,
        "customer_email": text(customer, "email") or text(payload, "email") or text(payload, "contact_email"),
        "customer_name": full_name(customer) or full_name(object_(payload, "billing_address")),
        "customer_phone": text(customer, "phone") or text(payload, "phone"),
        "shipping_phone": text(address, "phone"),
        "shipping_address": one_line(address),
        "shipping_city": text(address, "city"),
        "shipping_region": text(address, "province"),
        "shipping_country": text(address, "country_code"),
        "channel": text(payload, "source_name"),
        "cancelled_at": time_ms(payload, "cancelled_at"),
        "created_at": needed(time_ms(payload, "created_at"), "created_at"),
        "updated_at": needed(time_ms(payload, "updated_at"), "updated_at"),
        "business_entity_id": text(payload, "merchant_business_entity_id"),
        "duties_included": flag(payload, "duties_included"),
    }


def _line(line: Payload, path: str) -> dict[str, Any]:
    return {
        "line_id": exact_id(line, path),
        "product_id": id_or_none(line, "product_id", path),
        "variant_id": id_or_none(line, "variant_id", path),
        "sku": text(line, "sku", path),
        "title": text(line, "title", path),
        "quantity": needed(whole(line, "quantity", path), f"{path}quantity"),
        "price": needed(money(line, "price", path), f"{path}price"),
        "discount": money(line, "total_discount", path),
    }


def _customer(payload: Payload, shop_id: str) -> dict[str, Any]:
    of_kind(payload, "Customer")
    address = object_(payload, "default_address")
    return {
        "shop_id": shop_id,
        "customer_id": exact_id(payload),
        "customer_email": text(payload, "email"),
        "customer_name": full_name(payload),
        "customer_phone": text(payload, "phone") or text(address, "phone"),
        "address": one_line(address),
        "city": text(address, "city"),
        "region": text(address, "province"),
        "country": text(address, "country_code"),
        "orders_count": whole(payload, "orders_count") or 0,
        "total_spent": money(payload, "total_spent"),
        "is_verified": flag(payload, "verified_email"),
        "state": text(payload, "state"),
        "created_at": needed(time_ms(payload, "created_at"), "created_at"),
        "updated_at": needed(time_ms(payload, "updated_at"), "updated_at"),
    }


def _refund(payload: Payload, shop_id: str) -> dict[str, Any]:
    of_kind(payload, "Refund")
    items = objects(payload, "refund_line_items")
    lines = [_refund_line(line, f"refund_line_items[{i}].") for i, line in enumerate(items)]
    paid = [t for t in objects(payload, "transactions") if t.get("kind") == "refund" and t.get("status") == "success"]
    # Before 2024-01 a refund came without its transactions: then the lines say how much went back.
    amounts = [money(t, "amount", "transactions[].") for t in paid] or [line["subtotal"] for line in lines]
    return {
        "shop_id": shop_id,
        "refund_id": exact_id(payload),
        "order_id": needed(id_or_none(payload, "order_id"), "order_id"),
        "amount": sum((amount for amount in amounts if amount is not None), Decimal("0.00")),
        "currency": _refund_currency(items, paid),
        "note": text(payload, "note"),
        "restock": flag(payload, "restock"),
        "lines": lines,
        "created_at": needed(time_ms(payload, "created_at"), "created_at"),
    }


def _refund_line(line: Payload, path: str) -> dict[str, Any]:
    nested = object_(line, "line_item", path)
    # The exact text id of the line, where the payload has it; the plain number may be rounded.
    line_id = exact_id(nested, f"{path}line_item.") if nested else number_id(line, "line_item_id", path)
    return {
        "line_id": line_id,
        "quantity": needed(whole(line, "quantity", path), f"{path}quantity"),
        "subtotal": needed(money(line, "subtotal", path), f"{path}subtotal"),
    }


def _refund_currency(items: list[Payload], paid: list[Payload]) -> str:
    """Refunds name their currency in the money sets of their lines, or in their transactions."""
    for item in items:
        shop_money = object_(object_(item, "subtotal_set"), "shop_money")
        if found := text(shop_money, "currency_code"):
            return found
    for transaction in paid:
        if found := text(transaction, "currency"):
            return found
    raise ShapeError("refund_line_items[].subtotal_set.shop_money.currency_code", "a currency is needed")


_MAPPERS: dict[str, Callable[[Payload, str], dict[str, Any]]] = {ORDER: _order, CUSTOMER: _customer, REFUND: _refund}
