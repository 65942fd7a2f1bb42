"""Shopify payloads by variation: a real one of some API version with other ids, people, times and amounts.

The shape of each version stays as it is (fields that it lacks are not added), money is text with two digits, and totals
add up: lines - discounts + shipping = total.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from producers.simulate.people import Person

Payload = dict[str, Any]
VERSIONS = ("2023-07", "2024-01", "2024-04", "2024-07", "2024-10")
CURRENCY = "BRL"
BRASILIA = timezone(timedelta(hours=-3))
_FOLDER = Path(__file__).parent / "fixtures" / "shopify"


@cache
def _text(version: str, topic: str) -> str:
    return (_FOLDER / version / f"{topic}.json").read_text(encoding="utf-8")


def fixture(version: str, topic: str) -> Payload:
    """A fresh copy of a real payload."""
    payload: Payload = json.loads(_text(version, topic))
    return payload


@dataclass(frozen=True)
class Buyer:
    """A shop's customer: their number in the shop, and the person."""

    number: int
    person: Person


def order(version: str, number: int, buyer: Buyer | None, at_ms: int, draw: random.Random) -> Payload:
    """A new order. `number`, unique among all shops, becomes the id; without a buyer it is a sale over the counter."""
    payload = fixture(version, "orders/create")
    _identify(payload, "Order", number)
    when = iso(at_ms)
    payload |= {
        "name": f"#{number % 1_000_000}",
        "number": number % 1_000_000,
        "order_number": number % 1_000_000,
        "currency": CURRENCY,
        "presentment_currency": CURRENCY,
        "financial_status": "pending",
        "cancelled_at": None,
        "cancel_reason": None,
        "created_at": when,
        "updated_at": when,
        "processed_at": when if payload["processed_at"] else None,
        "test": False,
        "source_name": draw.choice(("web", "web", "web", "pos", "instagram")),
        "line_items": [
            _line(line, number * 10 + i, draw)
            for i, line in enumerate(draw.sample(payload["line_items"], draw.randint(1, len(payload["line_items"]))))
        ],
    }
    _add_up(payload, draw)
    _belong(payload, buyer)
    return payload


def change(payload: Payload, topic: str, at_ms: int) -> Payload:
    """A later state of an order: `orders/paid`, `orders/updated` (sent out) or `orders/cancelled`."""
    when = iso(at_ms)
    changed = dict(payload) | {"updated_at": when}
    if topic == "orders/paid":
        changed |= {"financial_status": "paid", "total_outstanding": "0.00"}
    elif topic == "orders/cancelled":
        changed |= {"financial_status": "voided", "cancelled_at": when, "cancel_reason": "customer"}
    else:
        changed |= {"fulfillment_status": "fulfilled"}
    return changed


def refund(version: str, sold: Payload, number: int, at_ms: int, draw: random.Random) -> Payload:
    """A refund of one line of an order. Version 2023-07 has no transactions in it, so its lines say the amount."""
    payload = fixture(version, "refunds/create")
    _identify(payload, "Refund", number)
    line = draw.choice(sold["line_items"])
    price = Decimal(line["price"])
    item = payload["refund_line_items"][0]
    item |= {
        "id": number * 10,
        "line_item_id": line["id"],
        "quantity": 1,
        # A number, not text; since 2024-07 with decimals.
        "subtotal": float(price),
        "subtotal_set": _set(price),
        "line_item": line,
    }
    payload |= {
        "order_id": sold["id"],
        "created_at": iso(at_ms),
        "processed_at": iso(at_ms),
        "restock": draw.random() < 0.5,
        "refund_line_items": [item],
        "transactions": payload["transactions"][:1],
    }
    for transaction in payload["transactions"]:
        _identify(transaction, "OrderTransaction", number * 10)
        transaction |= {"order_id": sold["id"], "amount": _money(price), "currency": CURRENCY, "created_at": iso(at_ms)}
    return payload


def customer(version: str, topic: str, buyer: Buyer, created_ms: int, at_ms: int, orders: int) -> Payload:
    """A shop's customer after `customers/create` or `customers/update`."""
    payload = fixture(version, topic)
    payload |= _person(buyer) | {
        "orders_count": orders,
        "total_spent": _money(Decimal(orders * 150)),
        "state": "enabled" if orders else "disabled",
        "currency": CURRENCY,
        "created_at": iso(created_ms),
        "updated_at": iso(at_ms),
        "last_order_id": None,
        "last_order_name": None,
    }
    if payload.get("default_address"):
        payload["default_address"] |= _address(buyer.person) | {"customer_id": buyer.number}
    return payload


def iso(ms: int) -> str:
    """Shopify's spelling of a time: whole seconds with the shop's offset."""
    return datetime.fromtimestamp(ms // 1000, UTC).astimezone(BRASILIA).isoformat(timespec="seconds")


def _identify(payload: Payload, kind: str, number: int) -> None:
    payload |= {"id": number, "admin_graphql_api_id": f"gid://shopify/{kind}/{number}"}


def _line(line: Payload, number: int, draw: random.Random) -> Payload:
    price = (Decimal(line["price"]) * draw.randint(20, 180)).scaleb(-2).quantize(Decimal("0.01"))
    line = dict(line) | {"quantity": draw.choice((1, 1, 1, 2, 3)), "price": _money(price), "price_set": _set(price)}
    line |= {"total_discount": "0.00", "total_discount_set": _set(Decimal(0)), "discount_allocations": []}
    _identify(line, "LineItem", number)
    return line


def _add_up(payload: Payload, draw: random.Random) -> None:
    lines = sum((Decimal(line["price"]) * line["quantity"] for line in payload["line_items"]), Decimal(0))
    shipping = Decimal(draw.choice(("0.00", "12.90", "19.90")))
    discounts = (lines * draw.choice((0, 0, 0, 5, 10))).scaleb(-2).quantize(Decimal("0.01"))
    amounts = {
        "total_line_items_price": lines,
        "subtotal_price": lines - discounts,
        "current_subtotal_price": lines - discounts,
        "total_discounts": discounts,
        "current_total_discounts": discounts,
        "total_price": lines - discounts + shipping,
        "current_total_price": lines - discounts + shipping,
        "total_outstanding": lines - discounts + shipping,
    }
    for name, amount in amounts.items():
        payload[name] = _money(amount)
        if payload.get(f"{name}_set"):
            payload[f"{name}_set"] = _set(amount)
    payload["total_shipping_price_set"] = _set(shipping)


def _belong(payload: Payload, buyer: Buyer | None) -> None:
    if buyer is None:
        payload |= {"customer": None, "email": "", "contact_email": None, "phone": None}
        payload |= {"billing_address": None, "shipping_address": None}
        return
    email = buyer.person.email
    payload |= {"email": email, "contact_email": email, "phone": None}
    payload["customer"] = payload["customer"] | _person(buyer)
    if payload["customer"].get("default_address"):
        payload["customer"]["default_address"] |= _address(buyer.person) | {"customer_id": buyer.number}
    payload["billing_address"] = payload["billing_address"] | _address(buyer.person)
    payload["shipping_address"] = payload["shipping_address"] | _address(buyer.person)


def _person(buyer: Buyer) -> Payload:
    person = buyer.person
    return {
        "id": buyer.number,
        "admin_graphql_api_id": f"gid://shopify/Customer/{buyer.number}",
        "email": person.email,
        "first_name": person.first_name,
        "last_name": person.last_name,
        "phone": person.phone,
        "note": None,
    }


def _address(person: Person) -> Payload:
    return {
        "first_name": person.first_name,
        "last_name": person.last_name,
        "name": person.name,
        "company": None,
        "address1": person.street,
        "address2": None,
        "city": person.city,
        "province": person.state,
        "province_code": person.state,
        "country": "Brazil",
        "country_code": "BR",
        "zip": person.postcode,
        "phone": person.phone,
    }


def _money(amount: Decimal) -> str:
    return f"{amount:.2f}"


def _set(amount: Decimal) -> Payload:
    money = {"amount": _money(amount), "currency_code": CURRENCY}
    return {"shop_money": money, "presentment_money": dict(money)}
