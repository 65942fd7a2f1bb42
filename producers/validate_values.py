"""Checks of single values: each takes a value that is not null, returns its canonical form, raises Invalid."""

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

NO_FIELD, UNKNOWN_FIELD, TYPE = "CDL-NO-FIELD", "CDL-UNKNOWN-FIELD", "CDL-TYPE"

Check = Callable[[Any], Any]
"""Takes a value that is not null, returns its canonical form, raises Invalid."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# Years 1 to 9999: what both Python and Spark can show. Beyond it a unit was mistaken.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
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


def enum(symbols: frozenset[str]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in symbols:
            raise Invalid(TYPE)
        return value

    return check


def fixed(size: int) -> Check:
    def check(value: Any) -> bytes:
        if not isinstance(value, bytes) or len(value) != size:
            raise Invalid(TYPE)
        return value

    return check


def decimal(precision: int, scale: int) -> Check:
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


def string(value: Any) -> str:
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


_INT = _whole(-(2**31), 2**31 - 1)
_LONG = _whole(-(2**63), 2**63 - 1)
to_millis = _instant(1)
"""Epoch milliseconds of an int, an aware datetime or ISO text. Raises Invalid."""

PRIMITIVES: dict[str, Check] = {
    "string": string,
    "int": _INT,
    "long": _LONG,
    "float": _real,
    "double": _real,
    "boolean": _boolean,
    "bytes": _bytes,
}
LOGICAL: dict[str, Check] = {
    "timestamp-millis": to_millis,
    "timestamp-micros": _instant(1000),
    "date": _day,
}
