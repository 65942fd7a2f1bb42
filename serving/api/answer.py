"""Rows as JSON, CSV, Parquet or an Arrow stream.

In JSON exact numbers stay exact, times are UTC, and nothing that JSON lacks gets through.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING

from serving.api.ask import Format

if TYPE_CHECKING:
    import pyarrow as pa

TYPES: Mapping[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8; header=present",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


def chosen(asked: Format | None, accept: str) -> Format:
    """The format that a request names, else the first of its Accept header that there is, else JSON."""
    if asked is not None:
        return asked
    bare: dict[str, Format] = {media.split(";")[0]: name for name, media in TYPES.items()}
    wanted = (part.split(";")[0].strip().lower() for part in accept.split(","))
    return next((bare[media] for media in wanted if media in bare), "json")


def written(table: pa.Table, form: Format) -> bytes:
    """The rows as a file of that format; JSON is for `rows`, which goes into an answer's body."""
    return WRITERS[form](_plain(table))


def rows(table: pa.Table) -> list[dict[str, object]]:
    """The table's rows as JSON-ready records."""
    return [{name: value(v) for name, v in row.items()} for row in _timed(table).to_pylist()]


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


def _plain(table: pa.Table) -> pa.Table:
    """DataFusion answers with views of text, which neither CSV nor every reader of the other formats knows."""
    import pyarrow as pa

    def plain(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_string_view(kind):
            return pa.string()
        if pa.types.is_binary_view(kind):
            return pa.binary()
        if pa.types.is_map(kind):
            return pa.map_(plain(kind.key_type), plain(kind.item_type))
        if pa.types.is_list(kind):
            return pa.list_(plain(kind.value_type))
        return kind

    return table.cast(pa.schema([field.with_type(plain(field.type)) for field in table.schema]))


def _timed(table: pa.Table) -> pa.Table:
    """Times as the text that `value` makes of them, for whole columns.

    Python's own times, and any value of Python that Arrow is given, make Arrow load pandas: 2 CPU seconds for the
    first request, and tens of MiB for good.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            utc = table.column(place).cast(pa.timestamp(field.type.unit))
            # floored, because a cast alone goes up before 1970
            column = pc.floor_temporal(utc, unit="millisecond").cast(pa.timestamp("ms"))
            table = table.set_column(place, field.name, pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ"))
    return table


def _csv(table: pa.Table) -> bytes:
    """CSV has no lists or maps: they are JSON in their cell."""
    import pyarrow as pa
    from pyarrow import csv

    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            cells = [None if v is None else json.dumps(value(v)) for v in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(cells, pa.string()))
    out = BytesIO()
    csv.write_csv(table, out)
    return out.getvalue()


def _parquet(table: pa.Table) -> bytes:
    from pyarrow import parquet

    out = BytesIO()
    parquet.write_table(table, out, compression="zstd")
    return out.getvalue()


def _arrow(table: pa.Table) -> bytes:
    import pyarrow as pa

    out = BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return out.getvalue()


def _json(table: pa.Table) -> bytes:
    return json.dumps(rows(table)).encode()


WRITERS: Mapping[Format, Callable[[pa.Table], bytes]] = {
    "json": _json, "csv": _csv, "parquet": _parquet, "arrow": _arrow,
}  # fmt: skip
