"""The same facts from a Kafka record and from a silver row."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from serving.features import facts
from serving.features import spec as specs

SPEC = specs.load()
MS = 1_728_000_000_123


def row(occurred, **given):
    return {
        "tenant_id": "bank", "event_id": "e", "transaction_id": "t", "amount": Decimal("12.30"), "merchant_id": "m",
        "subject_ref": "c", "device_ref": None, "occurred_at": occurred, **given,
    }  # fmt: skip


@pytest.mark.parametrize(
    "occurred",
    [MS, datetime.fromtimestamp(MS / 1000, UTC), datetime.fromtimestamp(MS / 1000, UTC).replace(tzinfo=None)],
    ids=["producer", "avro", "delta"],
)
def test_times_of_all_sources_are_one(occurred):
    """Milliseconds, aware and naive UTC times give the same record bytes."""
    placed = facts.place(facts.transaction(row(occurred), SPEC), SPEC)
    assert placed == facts.place(facts.transaction(row(MS), SPEC), SPEC)


def test_an_entity_without_ref_gets_no_record():
    """A payment without device goes to customer and merchant only."""
    assert [e.name for e, _, _ in facts.place(facts.transaction(row(MS), SPEC), SPEC)] == ["customer", "merchant"]


@pytest.mark.parametrize("amount", [12.3, "12.30", Decimal("0.001"), None])
def test_amounts_are_exact_cents_or_refused(amount):
    """Floats, texts and a third decimal never become cents by rounding."""
    with pytest.raises((TypeError, ValueError)):
        facts.transaction(row(MS, amount=amount), SPEC)


def test_an_account_without_person_is_nobodys():
    """An account that has no subject says nothing about anybody's age."""
    opened = facts.account({"tenant_id": "bank", "subject_ref": None, "opened_at": MS})
    assert facts.place_account(opened, SPEC) == []
