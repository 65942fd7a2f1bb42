"""What of an event the store keeps, from a Kafka record or a silver row alike: both name fields as contracts do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from serving.features.spec import Entity, FeatureSpec
from serving.features.state import hash32, hash48, pack_event, pack_label

Placed = tuple[Entity, str, bytes]
"""An entity, a ref of it, and the record that goes there."""


@dataclass(frozen=True)
class Transaction:
    """One payment: integer cents, epoch milliseconds, and the fields that lead to entities."""

    tenant: str
    event_id: str
    transaction_id: str
    cents: int
    at_ms: int
    fields: Mapping[str, str | None]

    @property
    def hash(self) -> int:
        return hash48(self.event_id)


@dataclass(frozen=True)
class Label:
    """One verdict on a payment, known from `known_ms` on."""

    tenant: str
    event_id: str
    transaction_event_id: str
    merchant_id: str
    is_fraud: bool
    at_ms: int
    known_ms: int


@dataclass(frozen=True)
class Account:
    """When an account of a customer was opened."""

    tenant: str
    subject_ref: str | None
    opened_ms: int


def transaction(row: Mapping[str, object], spec: FeatureSpec) -> Transaction:
    """A payment from its record or row. KeyError, TypeError or ValueError when it does not fit."""
    names = {e.ref for e in spec.entities} | {name for e in spec.entities for name in e.holds}
    return Transaction(
        tenant=str(row["tenant_id"]),
        event_id=str(row["event_id"]),
        transaction_id=str(row["transaction_id"]),
        cents=cents(row[spec.amount]),
        at_ms=epoch_ms(row["occurred_at"]),
        fields={name: _text(row.get(name)) for name in names},
    )


def label(row: Mapping[str, object]) -> Label:
    """A verdict from its record or row."""
    return Label(
        tenant=str(row["tenant_id"]),
        event_id=str(row["event_id"]),
        transaction_event_id=str(row["transaction_event_id"]),
        merchant_id=str(row["merchant_id"]),
        is_fraud=bool(row["is_fraud"]),
        at_ms=epoch_ms(row["transaction_at"]),
        known_ms=epoch_ms(row["labelled_at"]),
    )


def account(row: Mapping[str, object]) -> Account:
    """An account's opening from its record or row."""
    return Account(str(row["tenant_id"]), _text(row.get("subject_ref")), epoch_ms(row["opened_at"]))


def place(event: Transaction, spec: FeatureSpec) -> list[Placed]:
    """Where a payment goes: one record per entity that it names."""
    out: list[Placed] = []
    for entity in spec.entities:
        ref = event.fields[entity.ref]
        if ref:
            a, b = (hash32(event.fields[name]) for name in entity.holds)
            out.append((entity, ref, pack_event(event.at_ms, event.hash, event.cents, a, b)))
    return out


def place_label(verdict: Label, spec: FeatureSpec) -> list[Placed]:
    """Where a label goes: entities with a label risk, found by the field that labels carry."""
    record = pack_label(
        verdict.known_ms,
        hash48(verdict.event_id),
        hash48(verdict.transaction_event_id),
        verdict.at_ms,
        verdict.is_fraud,
    )
    return [(e, verdict.merchant_id, record) for e in spec.entities if e.risk_delay_ms and e.ref == "merchant_id"]


def place_account(opened: Account, spec: FeatureSpec) -> list[tuple[Entity, str, int]]:
    """Whose account creation it is, if the account has a subject."""
    ref = opened.subject_ref
    return [(e, ref, opened.opened_ms) for e in spec.entities if e.account_age and e.ref == "subject_ref" and ref]


def cents(value: object) -> int:
    """An amount with two decimals in integer cents; ValueError for a third decimal."""
    if not isinstance(value, Decimal):
        raise TypeError("an amount is a decimal")
    scaled = value.scaleb(2)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError("an amount has two decimals")
    return whole


def epoch_ms(value: object) -> int:
    """A time as epoch milliseconds; naive times are UTC, as Delta gives them."""
    if isinstance(value, datetime):
        seconds = (value - (_EPOCH if value.tzinfo else _NAIVE_EPOCH)).total_seconds()
        return round(seconds * 1000)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise TypeError("a time is a datetime or epoch milliseconds")


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_NAIVE_EPOCH = _EPOCH.replace(tzinfo=None)


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)
