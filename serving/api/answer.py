"""Rows as JSON: exact numbers stay exact, times are UTC, nothing that JSON lacks gets through."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def rows(table: pa.Table) -> list[dict[str, object]]:
    """The table's rows as JSON-ready records."""
    return [{name: value(v) for name, v in row.items()} for row in table.to_pylist()]


def value(found: object) -> object:
    """One value: decimals and times as text, NaN and infinities as null, containers by their parts."""
    match found:
        case Decimal():
            return format(found, "f")
        case dt.datetime():
            at = found.replace(tzinfo=found.tzinfo or dt.UTC).astimezone(dt.UTC)
            return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case dt.date():
            return found.isoformat()
        case float():
            return found if math.isfinite(found) else None
        case bytes():
            return None
        case dict():
            return {str(k): value(v) for k, v in found.items()}
        case list():
            # a map comes as pairs; its keys are text in every mart
            if found and all(isinstance(pair, tuple) and len(pair) == 2 for pair in found):
                return {str(k): value(v) for k, v in found}
            return [value(v) for v in found]
    return found
