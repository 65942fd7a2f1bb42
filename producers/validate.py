"""Does an event fit its Avro schema? Compiled once per version into plain functions, then one call per record.

Returns the event in canonical form: money as Decimal, timestamps as epoch milliseconds (or microseconds), dates as
days since 1970, defaults filled in. Refusals name the code and the field's path, never the value.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from schemas import avro
from schemas.contract import Avro, AvroType, without_null

NO_FIELD, UNKNOWN_FIELD, TYPE = "CDL-NO-FIELD", "CDL-UNKNOWN-FIELD", "CDL-TYPE"

Check = Callable[[Any], Any]
"""Takes a value that is not null, returns its canonical form, raises Invalid."""

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# Years 1 to 9999: what both Python and Spark can show. Beyond it a unit was mistaken.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
_MISSING = object()
_ZERO = Decimal(0)  # zero in any exponent is this one: `0E+999999` would not encode


class Invalid(Exception):
    """A value that does not fit: its code, and the path from the record's root as it grows outwards."""

    def __init__(self, code: str, path: str = "") -> None:
        super().__init__(code)
        self.code, self.path = code, path

    def inside(self, name: str) -> "Invalid":
        """The same refusal seen from one level further out."""
        joint = "" if not self.path or self.path.startswith("[") else "."
        return Invalid(self.code, f"{name}{joint}{self.path}")


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
        return _PRIMITIVES.get(kind) or names.check(kind)
    logical = kind.get("logicalType")
    if logical == "decimal":
        return _decimal(int(kind["precision"]), int(kind.get("scale", 0)))
    if logical in _LOGICAL:
        return _LOGICAL[logical]
    match kind["type"]:
        case "record":
            return _record(kind, names)
        case "array":
            return _array(_nullable(kind["items"], names))
        case "map":
            return _map(_nullable(kind["values"], names))
        case "enum":
            return _enum(frozenset(kind["symbols"]))
        case "fixed":
            return _fixed(int(kind["size"]))
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
                out[_string(name)] = element(entry)
            except Invalid as error:
                raise error.inside("*") from None  # a map's keys are data, so they are never shown
        return out

    return check


def _enum(symbols: frozenset[str]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in symbols:
            raise Invalid(TYPE)
        return value

    return check


def _fixed(size: int) -> Check:
    def check(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) != size:
            raise Invalid(TYPE)
        return value

    return check


def _decimal(precision: int, scale: int) -> Check:
    whole = precision - scale  # digits before the point

    def check(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, Decimal | int | str | float):
            raise Invalid(TYPE)
        try:
            # A float's shortest text is what its writer meant: 0.1, not 0.1000000000000000055.
            number = (
                value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else value)
            )
        except (InvalidOperation, ValueError):
            raise Invalid(TYPE) from None
        sign, digits, exponent = number.as_tuple()
        if not isinstance(exponent, int):  # NaN and infinities
            raise Invalid(TYPE)
        if -exponent > scale:
            # Zeros behind the last place may go; money is never rounded.
            surplus = -exponent - scale
            if len(digits) > 100 or any(digits[-surplus:]):
                raise Invalid(TYPE)
            number = Decimal((sign, digits[:-surplus] or (0,), -scale))
        if number and number.adjusted() >= whole:
            raise Invalid(TYPE)
        return number if number else _ZERO

    return check


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(TYPE)
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half a surrogate pair: JSON can spell it, UTF-8 cannot
            raise Invalid(TYPE) from None
    return value


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Invalid(TYPE)
        return value

    return check


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Invalid(TYPE)
    try:
        number = float(value)
    except OverflowError:
        raise Invalid(TYPE) from None
    if not math.isfinite(number):
        raise Invalid(TYPE)
    return number


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid(TYPE)
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise Invalid(TYPE)
    return bytes(value)


def _instant(per_ms: int) -> Check:
    """Epoch units as int, an aware datetime, or ISO 8601 text with an offset."""

    def check(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            units = value
        else:
            try:
                moment = datetime.fromisoformat(value) if isinstance(value, str) else value
                if not isinstance(moment, datetime) or moment.tzinfo is None:
                    raise Invalid(TYPE)
                delta = moment - _EPOCH
            except (ValueError, OverflowError):
                raise Invalid(TYPE) from None
            units = ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * per_ms // 1000
        if not _FIRST_MS * per_ms <= units <= _LAST_MS * per_ms + per_ms - 1:
            raise Invalid(TYPE)
        return units

    return check


def _day(value: Any) -> int:
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise Invalid(TYPE) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.toordinal() - _EPOCH_DAY
    return int(_INT(value))


def _shown(name: object) -> str:
    """An unknown field's name, unless it looks like data."""
    return name if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) else "?"


_INT = _whole(-(2**31), 2**31 - 1)
_LONG = _whole(-(2**63), 2**63 - 1)
to_millis = _instant(1)
"""Epoch milliseconds of an int, an aware datetime or ISO text. Raises Invalid."""

_PRIMITIVES: dict[str, Check] = {
    "string": _string,
    "int": _INT,
    "long": _LONG,
    "float": _real,
    "double": _real,
    "boolean": _boolean,
    "bytes": _bytes,
}
_LOGICAL: dict[str, Check] = {
    "timestamp-millis": to_millis,
    "timestamp-micros": _instant(1000),
    "date": _day,
}
