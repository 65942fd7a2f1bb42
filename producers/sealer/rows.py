"""From what a foreign producer wrote to an event of the contract: fields by name, what it does not say derived."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producers.sealer.debezium import Change
from schemas.contract import Contract, is_nullable, without_null

TRUNCATED = "__truncate__"


@dataclass(frozen=True)
class Delete:
    """The delete of a row: its key fields, sequence values, event id."""

    key: Mapping[str, object]
    sequence: list[object]
    event_id: str


def event(contract: Contract, change: Change, tenant: str | None) -> dict[str, Any] | Delete:
    """The event, or the delete, that a change is. Columns that the contract does not know are left out.

    `tenant` is used where the row itself has none. What is missing then is for the contract's validation to find.
    """
    fields = {str(item["name"]): item["type"] for item in contract.latest.avsc["fields"]}
    row: dict[str, Any] = {name: _fit(value, fields[name]) for name, value in change.row.items() if name in fields}
    if tenant is not None:
        row.setdefault(contract.tenant, tenant)
    if change.op == "t":
        row.update({name: TRUNCATED for name in contract.key if name != contract.tenant})
    said = {"_op": change.op, "_sequence": change.sequence, "_source": change.source or None}
    row.update({name: value for name, value in said.items() if name in fields})
    if row.get(contract.event_time) is None or change.op == "t":
        row[contract.event_time] = change.at_ms
    row.setdefault(contract.event_id, event_id(contract, change, row))
    if change.op == "d":
        key = {name: row[name] for name in contract.key if row.get(name) is not None}
        return Delete(key, [_place(row, name, change) for name in contract.sequence], str(row[contract.event_id]))
    return _filled(row, fields) if change.op == "t" else row


def flat(contract: Contract, value: Mapping[str, Any], tenant: str | None) -> dict[str, Any]:
    """A record that is no envelope: an event of the contract as it is."""
    row = dict(value)
    if tenant is not None:
        row.setdefault(contract.tenant, tenant)
    return row


def event_id(contract: Contract, change: Change, row: Mapping[str, Any]) -> str:
    """The same for the same change, however often it is read."""
    place = [contract.id, change.source, change.op, change.sequence, change.at_ms]
    text = json.dumps([*place, *[str(row.get(name)) for name in contract.key]])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _place(row: Mapping[str, Any], name: str, change: Change) -> object:
    value = row.get(name)
    # A delete's row may hold its key alone; then it happened when the source says.
    return change.at_ms if value is None else value


def _fit(value: Any, kind: Any) -> Any:
    """Numbers where the contract has text: keys of databases often are. Bytes come in base64 in JSON."""
    inner = without_null(kind)
    if inner == "bytes" and isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except ValueError:
            return value
    if inner == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _filled(row: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """A truncate's record: what a row must have and a truncate has not is nothing, in the field's type."""
    return {name: row[name] if row.get(name) is not None else _nothing(kind) for name, kind in fields.items()}


def _nothing(kind: Any) -> Any:
    if is_nullable(kind):
        return None
    inner = without_null(kind)
    name = inner.get("logicalType") or inner["type"] if isinstance(inner, dict) else inner
    match name:
        case "string" | "uuid":
            return ""
        case "boolean":
            return False
        case "array":
            return []
        case "map":
            return {}
        case "bytes":
            return b""
        case "enum":
            return inner["symbols"][0]
        case "record":
            return {item["name"]: _nothing(item["type"]) for item in inner["fields"]}
    return 0
