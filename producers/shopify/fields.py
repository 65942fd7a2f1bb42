"""Reading fields of Shopify payloads: the value in the right type, None when it is not there, or a ShapeError.

Every function takes the object, the field's name and the path of the object inside the payload (for the error); a value
is never part of an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from producers.shopify.errors import ShapeError

Payload = Mapping[str, Any]
T = TypeVar("T")


def of_kind(payload: Payload, kind: str) -> None:
    """Refuse another topic's body under this topic: the topic header is not signed, the body is."""
    gid = payload.get("admin_graphql_api_id")
    if not isinstance(gid, str) or not gid.startswith(f"gid://shopify/{kind}/"):
        raise ShapeError("admin_graphql_api_id", f"the id of a {kind} is needed")


def exact_id(payload: Payload, path: str = "") -> str:
    """The exact id from the text form, else the number as it is."""
    gid = payload.get("admin_graphql_api_id")
    if isinstance(gid, str) and gid.startswith("gid://"):
        return gid.rpartition("/")[2]
    return number_id(payload, "id", path)


def number_id(payload: Payload, name: str, path: str = "") -> str:
    return str(needed(id_or_none(payload, name, path), path + name))


def id_or_none(payload: Payload, name: str, path: str = "") -> str | None:
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ShapeError(path + name, "an id is a whole number or text")
    return str(value)


def text(payload: Payload, name: str, path: str = "") -> str | None:
    value = payload.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ShapeError(path + name, "text is needed")
    return value


def whole(payload: Payload, name: str, path: str = "") -> int | None:
    value = payload.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ShapeError(path + name, "a whole number is needed")
    return value


def flag(payload: Payload, name: str, path: str = "") -> bool | None:
    value = payload.get(name)
    if value is not None and not isinstance(value, bool):
        raise ShapeError(path + name, "true or false is needed")
    return value


def money(payload: Payload, name: str, path: str = "") -> Decimal | None:
    """Money with two digits: text in most places, a number in refunds (2024-07 turned that from int to float)."""
    value = payload.get(name)
    if value is None:
        return None
    try:
        amount = None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        amount = None
    if amount is None or not amount.is_finite():
        raise ShapeError(path + name, "an amount is needed")
    cents = amount.quantize(Decimal("0.01")) if abs(amount) < Decimal("1e16") else None
    if cents is None or cents != amount:
        raise ShapeError(path + name, "an amount with at most two decimals and 18 digits is needed")
    return cents


def time_ms(payload: Payload, name: str, path: str = "") -> int | None:
    """ISO 8601 with an offset, as epoch milliseconds."""
    value = payload.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ShapeError(path + name, "a time with its offset is needed")
    return round(moment.timestamp() * 1000)


def full_name(person: Payload) -> str | None:
    parts = [text(person, "first_name"), text(person, "last_name")]
    return " ".join(part for part in parts if part) or None


def one_line(address: Payload) -> str | None:
    names = ("address1", "address2", "city", "province_code", "zip", "country_code")
    return ", ".join(part for name in names if (part := text(address, name))) or None


def object_(payload: Payload, name: str, path: str = "") -> Payload:
    value = payload.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ShapeError(path + name, "an object is needed")
    return value


def objects(payload: Payload, name: str) -> list[Payload]:
    value = payload.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise ShapeError(name, "a list of objects is needed")
    return value


def needed(value: T | None, path: str) -> T:
    if value is None:
        raise ShapeError(path, "it is missing")
    return value
