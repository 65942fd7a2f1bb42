"""Wire records of any contract, written straight against its wire schema: for tests of what comes after Kafka."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from producers.encode import compile_encoder, message_key
from schemas.contract import Avro, Contract
from schemas.distribution import Released

# 2026-01-05T12:00:00Z: the time that records have unless a test says otherwise, epoch milliseconds.
NOON = 1_767_614_400_000
MASKS = {
    "cpf": "***.***.***-09", "cnpj": "**.***.***/****-35", "email": "ab***@example.com", "phone": "****67",
    "name": "J*** S***", "bank_account": "****1234", "card": "****1234", "ip": "203.0.113.0/24",
    "address": "***", "device": "***", "free_text": "***",
}  # fmt: skip


def sealed(cls: str) -> dict[str, Any]:
    """A sealed value with a good mask; the token is no real one."""
    return {"mask": MASKS[cls], "token": b"\x01token"}


def record(contract: Contract, version: int | None = None, **fields: Any) -> dict[str, Any]:
    """A wire record: required fields filled, optional ones null, `fields` on top. `observed_at` and `published_at` go
    into the origin."""
    wire = (contract.version(version) if version else contract.latest).wire
    origin = {
        "source": "test",
        "run": None,
        "position": None,
        "observed_at": fields.pop("observed_at", NOON),
        "published_at": fields.pop("published_at", NOON),
    }
    filled = {item["name"]: _value(item["type"]) for item in wire["fields"]}
    return {**filled, **fields, "origin": origin}


def framed(released: Released, value: Mapping[str, Any], version: int | None = None) -> bytes:
    """The record's bytes with the registry id of the version."""
    number = version or released.contract.latest.number
    return compile_encoder(released.contract.version(number).wire, released.ids[number])(value)


def key_of(contract: Contract, value: Mapping[str, Any]) -> bytes:
    """The message key that the publisher would give the record."""
    return message_key([value[name] for name in contract.message_key])


def delete_headers(event_id: str, sequence: Sequence[object], observed_at: int = NOON) -> list[tuple[str, bytes]]:
    """The headers of a delete."""
    return [
        ("caudal-event-id", event_id.encode()),
        ("caudal-sequence", json.dumps(list(sequence)).encode()),
        ("caudal-observed-at", str(observed_at).encode()),
    ]


def _value(kind: Any) -> Any:
    if isinstance(kind, list):
        return None if "null" in kind else _value(kind[0])
    if isinstance(kind, dict):
        return _complex(kind)
    return {"string": "x", "long": 0, "int": 0, "double": 0.0, "float": 0.0, "boolean": False, "bytes": b""}[kind]


def _complex(kind: Avro) -> Any:
    logical, inner = kind.get("logicalType"), kind["type"]
    if logical == "decimal":
        return Decimal("10.00")
    if logical and logical.startswith("timestamp"):
        return NOON
    if inner == "array":
        return []
    if inner == "map":
        return {}
    if inner == "record":
        return {item["name"]: _value(item["type"]) for item in kind["fields"]}
    if inner == "fixed":
        return bytes(kind["size"])
    if inner == "enum":
        return kind["symbols"][0]
    return _value(inner)
