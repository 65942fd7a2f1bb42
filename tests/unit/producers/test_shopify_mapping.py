"""Shopify payloads of five API versions become events; what does not fit is named, never shown."""

import json
from decimal import Decimal
from typing import Any

import pytest

from producers.shopify.errors import ShapeError
from producers.shopify.mapping import CUSTOMER, OPTIONAL, ORDER, REFUND, deleted_order, map_payload
from producers.simulate.payloads import VERSIONS, fixture
from schemas.load import load_contract
from tests.conftest import CONTRACTS

SHOP = "shop-1"


def exact(payload: object) -> Any:
    """The payload as the receiver reads it from bytes."""
    return json.loads(json.dumps(payload), parse_float=Decimal)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("topic", ["orders/create", "orders/updated", "orders/paid", "orders/cancelled"])
def test_lines_less_discounts_plus_shipping_are_the_total(version: str, topic: str) -> None:
    """In every version the amounts of an order add up exactly."""
    event = map_payload(ORDER, exact(fixture(version, topic)), SHOP, OPTIONAL).event
    lines = sum(line["price"] * line["quantity"] for line in event["line_items"])
    assert Decimal("388.00" if version < "2024-07" else "359.97") == event["total"]
    assert event["total"] == lines - event["discounts"] + event["shipping"]


def test_ids_come_from_the_exact_text() -> None:
    """The numeric id was rounded on its way; the event has the exact one."""
    payload = fixture("2024-10", "orders/create")
    event = map_payload(ORDER, payload, SHOP, OPTIONAL).event
    assert payload["id"] == 820982911946154500
    assert event["order_id"] == "820982911946154508"
    assert event["customer_id"] == "115310627314723954"
    assert event["line_items"][0]["line_id"] == "487817672276298554"


@pytest.mark.parametrize("contract", [ORDER, CUSTOMER, REFUND])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_event_has_the_fields_of_its_contract(contract: str, version: str) -> None:
    """Every mapped event has exactly the fields of the contract's newest version."""
    topic = {ORDER: "orders/create", CUSTOMER: "customers/create", REFUND: "refunds/create"}[contract]
    avsc = load_contract(CONTRACTS.joinpath(*contract.split("."))).latest.avsc
    fields = {field["name"] for field in avsc["fields"]}
    assert fields == map_payload(contract, exact(fixture(version, topic)), SHOP, fields).event.keys()


def test_fields_of_a_newer_version_wait_for_it() -> None:
    """What version 2 adds is left out until the contract has it, and is there from then on."""
    payload = fixture("2024-10", "orders/create")
    assert not OPTIONAL & map_payload(ORDER, payload, SHOP, ()).event.keys()
    event = map_payload(ORDER, payload, SHOP, OPTIONAL).event
    assert (event["business_entity_id"], event["duties_included"]) == ("MTU0ODM4MDAwOQ", False)


def test_one_state_of_an_entity_is_one_event() -> None:
    """The same state gives the same event id by any topic and version; another time or shop gives another."""
    ids = {
        map_payload(ORDER, fixture(version, topic), SHOP, ()).event_id
        for version in VERSIONS
        for topic in ("orders/create", "orders/paid")
    }
    assert len(ids) == 1
    later = fixture("2024-10", "orders/create") | {"updated_at": "2021-12-31T19:00:01-05:00"}
    assert map_payload(ORDER, later, SHOP, ()).event_id not in ids
    assert map_payload(ORDER, fixture("2024-10", "orders/create"), "shop-2", ()).event_id not in ids


def test_an_order_without_customer_is_an_order() -> None:
    """A sale over the counter has no customer, no address and no e-mail."""
    payload = fixture("2024-10", "orders/create")
    payload |= {"customer": None, "email": "", "contact_email": None, "shipping_address": None, "billing_address": None}
    event = map_payload(ORDER, payload, SHOP, ()).event
    assert {None} == {event[name] for name in ("customer_id", "customer_email", "customer_name", "shipping_phone")}


@pytest.mark.parametrize(
    ("version", "amount", "first"),
    [("2023-07", "398.00", "199.00"), ("2024-04", "85.00", "199.00"), ("2024-10", "85.00", "89.99")],
)
def test_a_refund_is_what_went_back(version: str, amount: str, first: str) -> None:
    """A refund's amount is its transactions', or its lines' where the version has no transactions; floats are exact."""
    event = map_payload(REFUND, exact(fixture(version, "refunds/create")), SHOP, ()).event
    assert (Decimal(amount), "USD") == (event["amount"], event["currency"])
    assert Decimal(first) == event["lines"][0]["subtotal"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"total_price": "12.345"}, "total_price"),
        ({"total_price": "NaN"}, "total_price"),
        ({"total_price": True}, "total_price"),
        ({"total_price": None}, "total_price"),
        ({"updated_at": "yesterday"}, "updated_at"),
        ({"updated_at": "2024-01-01T00:00:00"}, "updated_at"),
        ({"line_items": {}}, "line_items"),
        ({"line_items": [{"id": 1, "price": "1.00", "quantity": "2"}]}, "line_items[0].quantity"),
        ({"customer": "somebody"}, "customer"),
        ({"admin_graphql_api_id": "gid://shopify/Customer/1"}, "admin_graphql_api_id"),
        ({"currency": 986}, "currency"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], path: str) -> None:
    """The error says the field and the rule and holds no value."""
    with pytest.raises(ShapeError) as caught:
        map_payload(ORDER, fixture("2024-10", "orders/create") | changes, SHOP, ())
    assert (path, "CDL-SHAPE") == (caught.value.path, caught.value.code)
    assert "jon@example.com" not in str(caught.value)


def test_only_a_bare_id_deletes() -> None:
    """The topic header is not signed, so another topic's body never deletes an order."""
    assert deleted_order({"id": 820982911946154508}) == "820982911946154508"
    with pytest.raises(ShapeError):
        deleted_order(fixture("2024-10", "orders/create"))
