"""Change events of Debezium (PostgreSQL, MySQL, MariaDB, Oracle) as values, with or without Connect's schema.

The forms are those of Debezium's connector documentation: an envelope {before, after, source, op, ts_ms}, in JSON
optionally wrapped as {schema, payload}; `t` is a truncate, `m` a logical message, and events without `op` tell of DDL.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

Row = Mapping[str, Any]
OPS = frozenset("crudt")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BINLOG = re.compile(r".*\.(\d{1,6})")
_LONG = 2**63
_TIMES = {"io.debezium.time.MicroTimestamp": 1, "io.debezium.time.NanoTimestamp": 1000}
_DECIMAL = "org.apache.kafka.connect.data.Decimal"


@dataclass(frozen=True)
class Change:
    """One change of a row. `row` is the state after it (a delete: before it; a truncate: nothing).

    `sequence` is its place in the source's log, `at_ms` when it happened there (epoch ms); None when not told.
    `database` is the connector's logical name, `source` that with database, schema and table.
    """

    op: str
    row: Row
    sequence: int | None
    at_ms: int | None
    database: str = ""
    source: str = ""


@dataclass(frozen=True)
class NoChange:
    """An event that says nothing of rows: a logical message, DDL, a heartbeat."""

    kind: str


@dataclass(frozen=True)
class _Column:
    name: str
    scale: int = 0


@dataclass(frozen=True)
class _Envelope:
    body: Row
    columns: Mapping[str, _Column] = field(default_factory=dict)


def change(value: Row) -> Change | NoChange | None:
    """What an event says; None when it is no envelope at all."""
    envelope = _opened(value)
    body = envelope.body
    op, source = body.get("op"), body.get("source")
    told = source if isinstance(source, Mapping) else {}
    if not isinstance(op, str):
        if "ddl" in body or "tableChanges" in body:
            return NoChange("ddl")
        return NoChange("heartbeat") if set(body) <= {"ts_ms", "ts_us", "ts_ns"} else None
    if not {"before", "after", "source"} & set(body):
        return None
    if op not in OPS:
        return NoChange("message" if op == "m" else "other")
    row = body.get("before" if op == "d" else "after")
    columns = row.items() if isinstance(row, Mapping) else ()
    return Change(
        op,
        {name: _plain(item, envelope.columns.get(name)) for name, item in columns},
        _sequence(told, body),
        _millis(told) or _millis(body),
        str(told.get("name") or ""),
        ".".join(str(told[part]) for part in ("name", "db", "schema", "table") if told.get(part)),
    )


def _opened(value: Row) -> _Envelope:
    payload = value.get("payload")
    if not isinstance(payload, Mapping) or "schema" not in value:
        return _Envelope(value)
    columns: dict[str, _Column] = {}
    schema = value["schema"]
    for part in schema.get("fields", ()) if isinstance(schema, Mapping) else ():
        if isinstance(part, Mapping) and part.get("field") in ("before", "after"):
            for column in part.get("fields", ()):
                scale = (column.get("parameters") or {}).get("scale", 0)
                columns[str(column.get("field"))] = _Column(str(column.get("name") or ""), int(scale))
    return _Envelope(payload, columns)


def _plain(value: Any, column: _Column | None) -> Any:
    """A value in its own type: Connect writes decimals as bytes, and times in the unit that the type's name says."""
    if column is None or value is None:
        return value
    if column.name in _TIMES and isinstance(value, int):
        return _EPOCH + timedelta(microseconds=value // _TIMES[column.name])
    if column.name == _DECIMAL and isinstance(value, str):
        try:
            unscaled = int.from_bytes(base64.b64decode(value, validate=True), signed=True)
        except (binascii.Error, ValueError):
            return value
        return Decimal(unscaled).scaleb(-column.scale)
    return value


def _sequence(source: Row, body: Row) -> int | None:
    """A number that grows with the source's log: lsn, binlog file and position, scn; else the time in microseconds."""
    lsn, scn = _number(source.get("lsn")), _number(source.get("scn"))
    if lsn is not None:
        return lsn
    file, position = _BINLOG.fullmatch(str(source.get("file") or "")), _number(source.get("pos"))
    if file is not None and position is not None:
        # 20 bits of file, 32 of position, 11 of the row in its event: what MySQL's defaults can reach.
        return int(file[1]) << 43 | min(position, 2**32 - 1) << 11 | min(_number(source.get("row")) or 0, 2047)
    if scn is not None and scn < _LONG >> 12:
        return scn << 12 | min(_number(source.get("ssn")) or 0, 4095)
    micros = (_number(told.get(name)) for told in (source, body) for name in ("ts_us",))
    found = next((value for value in micros if value), None)
    millis = _millis(source) or _millis(body)
    return found or (None if millis is None else millis * 1000)


def _millis(told: Row) -> int | None:
    return _number(told.get("ts_ms")) or None


def _number(value: Any) -> int | None:
    """A whole number that a long holds, also as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LONG else None
