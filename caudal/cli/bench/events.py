"""The benchmark's events: sealed payments and account states, a tenth of them twice, a hundredth spoiled; by a seed."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from producers.encode import compile_encoder, message_key
from schemas.distribution import Released

TWICE, SPOILED = 0.10, 0.01
TENANTS, ACCOUNTS, MERCHANTS = 50, 200_000, 5_000
# Copies come soon after the original, as retries do.
_RECENT = 20_000
# What a sealed value weighs: key id, nonce, tag and some twenty bytes of text.
_TOKEN_BYTES = 64
_MASKS = {"customer_cpf": "***.***.***-09", "customer_email": "ab***@example.com", "customer_phone": "****67"}
_METHODS = ("pix", "card", "transfer")


Choose = Callable[[random.Random], int]
"""Which account an event is of."""


def uniform(accounts: int = ACCOUNTS) -> Choose:
    """Any of so many accounts."""
    return lambda chance: chance.randrange(accounts)


@dataclass(frozen=True)
class Event:
    """One Kafka record: topic, key and framed value. `copy` and `spoiled` say what a reader must make of it."""

    topic: str
    key: bytes
    value: bytes
    copy: bool = False
    spoiled: bool = False


def events(
    released: Released,
    count: int,
    seed: int,
    now_ms: Callable[[], int] | None = None,
    account: Choose | None = None,
) -> Iterator[Event]:
    """`count` records. Of the spoiled ones a third is cut short, a third is too long, a third breaks the rule."""
    chance, clock = random.Random(seed), now_ms or (lambda: int(time.time() * 1000))
    encode = compile_encoder(released.contract.latest.wire, released.ids[released.contract.latest.number])
    names = {item["name"] for item in released.contract.latest.wire["fields"]}
    key_fields = released.contract.message_key
    recent: list[Event] = []
    topic, choose = released.contract.topic, account or uniform()
    for number in range(count):
        dice = chance.random()
        if recent and dice < TWICE:
            original = recent[chance.randrange(len(recent))]
            yield Event(topic, original.key, original.value, copy=True)
            continue
        record = _record(chance, number, seed, clock(), choose(chance))
        key = message_key([record[name] for name in key_fields])
        if dice >= 1 - SPOILED:
            yield Event(topic, key, _spoiled(number, record, names, encode), spoiled=True)
            continue
        made = Event(topic, key, encode({name: value for name, value in record.items() if name in names}))
        if len(recent) < _RECENT:
            recent.append(made)
        else:
            recent[number % _RECENT] = made
        yield made


def _spoiled(number: int, record: dict[str, Any], names: set[str], encode: Callable[[Any], bytes]) -> bytes:
    fields = {name: value for name, value in record.items() if name in names}
    if number % 3 == 0:
        return encode({**fields, "amount": Decimal("-1.00")})
    value = encode(fields)
    return value[:-10] if number % 3 == 1 else value + b"\x00\x00"


def _record(chance: random.Random, number: int, seed: int, now_ms: int, account: int) -> dict[str, Any]:
    """A wire record with the fields of both contracts."""
    sealed = {name: {"mask": mask, "token": chance.randbytes(_TOKEN_BYTES)} for name, mask in _MASKS.items()}
    return {
        "event_id": f"{seed}-{number}",
        "tenant_id": f"tenant-{account % TENANTS}",
        "account_id": f"account-{account}",
        "revision": number,
        "amount": Decimal(chance.randrange(1, 1_000_000)).scaleb(-2),
        "currency": "BRL",
        "method": _METHODS[number % 3],
        "merchant_id": f"merchant-{chance.randrange(MERCHANTS)}",
        "installments": number % 12 or None,
        "score": chance.random(),
        "approved": number % 2 == 0,
        "tags": ["web", "mobile"] if number % 5 == 0 else [],
        **sealed,
        "subject_ref": chance.randbytes(16).hex(),
        "occurred_at": now_ms,
        "origin": {
            "source": "bench",
            "run": None,
            "position": str(number),
            "observed_at": now_ms,
            "published_at": now_ms,
        },
    }
