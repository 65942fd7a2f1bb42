"""Does an event fit its Avro schema? Compiled once per version into plain functions, then one call per record.

Returns the event in canonical form: money as Decimal, timestamps as epoch milliseconds (or microseconds), dates as
days since 1970, defaults filled in. Refusals name the code and the field's path, never the value.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from producers.validate_values import (
    LOGICAL,
    NO_FIELD,
    PRIMITIVES,
    TYPE,
    UNKNOWN_FIELD,
    Check,
    Invalid,
    decimal,
    enum,
    fixed,
    string,
    to_millis,
)
from schemas import avro
from schemas.contract import Avro, AvroType, without_null

__all__ = ["Invalid", "compile_validator", "to_millis"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MISSING = object()


def compile_validator(avsc: Avro) -> Callable[[Mapping[str, object]], dict[str, Any]]:
    """A function that checks one event against a released version. It raises Invalid."""
    return _record(avsc, _Names(avro.validate(avsc), avro.space_of(avro.full_name(avsc, None))))


class _Names:
    """Named types by full name; each is compiled once, at its first use, so that recursive types work."""

    def __init__(self, types: Mapping[str, Any], space: str | None) -> None:
        self._types, self._space = types, space
        self._made: dict[str, Check] = {}

    def check(self, name: str) -> Check:
        full = avro.resolve(name, self._space, self._types)

        def late(value: Any) -> Any:
            if full not in self._made:
                self._made[full] = _check(self._types[full], self)
            return self._made[full](value)

        return late


def _check(kind: AvroType, names: _Names) -> Check:
    if isinstance(kind, list):
        return _union([_check(arm, names) for arm in kind if arm != "null"])
    if isinstance(kind, str):
        return PRIMITIVES.get(kind) or names.check(kind)
    logical = kind.get("logicalType")
    if logical == "decimal":
        return decimal(int(kind["precision"]), int(kind.get("scale", 0)))
    if logical in LOGICAL:
        return LOGICAL[logical]
    match kind["type"]:
        case "record":
            return _record(kind, names)
        case "array":
            return _array(_nullable(kind["items"], names))
        case "map":
            return _map(_nullable(kind["values"], names))
        case "enum":
            return enum(frozenset(kind["symbols"]))
        case "fixed":
            return fixed(int(kind["size"]))
        case other:
            return _check(other, names)


def _nullable(kind: AvroType, names: _Names) -> Check:
    """A check of a value in a collection, where null is a value like any other."""
    check = _check(without_null(kind), names)
    if isinstance(kind, list) and "null" in kind:
        return lambda value: None if value is None else check(value)

    def required(value: Any) -> Any:
        if value is None:
            raise Invalid(NO_FIELD)
        return check(value)

    return required


def _record(avsc: Avro, names: _Names) -> Check:
    fields = [
        (
            str(item["name"]),
            _check(without_null(item["type"]), names),
            item["type"] == "null" or (isinstance(item["type"], list) and "null" in item["type"]),
            _default(item, names),
        )
        for item in avsc["fields"]
    ]
    known = frozenset(name for name, *_ in fields)

    def check(event: Any) -> dict[str, Any]:
        if not isinstance(event, Mapping):
            raise Invalid(TYPE)
        if not known.issuperset(event):
            raise Invalid(UNKNOWN_FIELD, _shown(next(name for name in event if name not in known)))
        out = {}
        for name, check_value, nullable, default in fields:
            value = event.get(name, _MISSING)
            if value is _MISSING:
                if default is _MISSING:
                    raise Invalid(NO_FIELD, name)
                out[name] = default
            elif value is None:
                if not nullable:
                    raise Invalid(NO_FIELD, name)
                out[name] = None
            else:
                try:
                    out[name] = check_value(value)
                except Invalid as error:
                    raise error.inside(name) from None
        return out

    return check


def _default(item: Mapping[str, Any], names: _Names) -> Any:
    """A field's default in canonical form. A nullable field without one may be left out too: null is what it means."""
    kind = item["type"]
    if "default" not in item:
        return None if isinstance(kind, list) and "null" in kind else _MISSING
    default = item["default"]
    inner = without_null(kind)
    if isinstance(default, str) and _is_bytes(inner):
        raw = default.encode("latin-1")
        if isinstance(inner, dict) and inner.get("logicalType") == "decimal":
            return Decimal(int.from_bytes(raw, "big", signed=True)).scaleb(-int(inner.get("scale", 0)))
        return raw
    return default


def _is_bytes(kind: AvroType) -> bool:
    return kind == "bytes" or (isinstance(kind, dict) and kind.get("type") in ("bytes", "fixed"))


def _union(arms: list[Check]) -> Check:
    if len(arms) == 1:
        return arms[0]

    def check(value: Any) -> Any:
        for arm in arms:
            try:
                return arm(value)
            except Invalid:
                continue
        raise Invalid(TYPE)

    return check


def _array(element: Check) -> Check:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise Invalid(TYPE)
        out = []
        for position, entry in enumerate(value):
            try:
                out.append(element(entry))
            except Invalid as error:
                raise error.inside(f"[{position}]") from None
        return out

    return check


def _map(element: Check) -> Check:
    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Invalid(TYPE)
        out = {}
        for name, entry in value.items():
            try:
                out[string(name)] = element(entry)
            except Invalid as error:
                raise error.inside("*") from None  # a map's keys are data, so they are never shown
        return out

    return check


def _shown(name: object) -> str:
    """An unknown field's name, unless it looks like data."""
    return name if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) else "?"
