"""Simulated shops: deterministic, in five API versions, with the promised share of trouble."""

import json
from collections import Counter

import pytest

from producers.shopify.errors import ShapeError
from producers.shopify.mapping import TOPICS, map_payload
from producers.simulate.payloads import VERSIONS
from producers.simulate.shopkeeper import Change, Shopkeeper

START, STEP = 1_767_225_600_000, 75_000


def play(count: int, seed: int = 0) -> list[Change]:
    keepers = [Shopkeeper(index, seed) for index in range(4)]
    return [keepers[number % 4].next(number, START + number * STEP) for number in range(count)]


def test_the_same_seed_plays_the_same_changes() -> None:
    """Two runs send the same bytes; another seed sends others."""
    bodies = [change.body() for change in play(200)]
    assert bodies == [change.body() for change in play(200)]
    assert bodies != [change.body() for change in play(200, seed=1)]


def test_trouble_has_its_share() -> None:
    """About one change in ten is repeated, some come late, some never, some spoilt, and every version is seen."""
    changes = play(3_000)
    fates = Counter(change.fate for change in changes)
    assert set(VERSIONS) == {change.version for change in changes}
    assert 0.05 < sum(change.repeats > 0 for change in changes) / len(changes) < 0.15
    assert {"delivered", "lost", "forged", "torn", "misfit", "negative"} == fates.keys()
    assert any(change.held for change in changes)
    assert any(change.topic == "orders/create" and change.payload["customer"] is None for change in changes)


def test_what_the_shop_holds_always_maps() -> None:
    """The true state of every change fits its contract's mapping; ids are never shared by two shops."""
    owners: dict[str, str] = {}
    for change in play(600):
        contract = TOPICS[change.topic]
        mapped = map_payload(contract, json.loads(json.dumps(change.payload)), change.shop, ())
        if contract == "commerce.order":
            assert owners.setdefault(mapped.event["order_id"], change.shop) == change.shop


def test_spoilt_bodies_are_spoilt() -> None:
    """A torn body is no JSON, a misfit lacks a field, a negative one breaks the contract's rule."""
    for change in play(3_000):
        if change.fate == "torn":
            with pytest.raises(json.JSONDecodeError):
                json.loads(change.body())
        elif change.fate == "misfit":
            with pytest.raises(ShapeError):
                map_payload(TOPICS[change.topic], json.loads(change.body()), "s", ())
        elif change.fate == "negative" and change.topic.startswith("orders/"):
            assert map_payload("commerce.order", json.loads(change.body()), "s", ()).event["total"] < 0
