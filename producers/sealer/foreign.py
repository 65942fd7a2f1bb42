"""The value of a foreign record: JSON, or Avro behind the registry's five bytes."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import fastavro

from producers.errors import RecordRefused

GARBAGE, MAGIC = "CDL-GARBAGE", "CDL-MAGIC"
_HEADER = struct.Struct(">bI")
_MICROS = "io.debezium.time.MicroTimestamp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Find = Callable[[int], str | None]
"""The text of the schema with a registry id, None when the registry knows none. Raises TransientError."""


class Reader:
    """Reads foreign values. Schemas are asked for once; a registry that is away raises TransientError."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: dict[int, Any] = {}

    def read(self, value: bytes) -> Mapping[str, Any]:
        """The record. Raises RecordRefused with CDL-MAGIC, CDL-GARBAGE or CDL-UNKNOWN-ID."""
        found = self._avro(value) if value[:1] == b"\0" else _json(value)
        if not isinstance(found, Mapping):
            raise RecordRefused(GARBAGE, "")
        return found

    def _avro(self, value: bytes) -> Any:
        if len(value) < _HEADER.size:
            raise RecordRefused(GARBAGE, "")
        schema_id = _HEADER.unpack_from(value)[1]
        if schema_id not in self._known:
            text = self._find(schema_id)
            if text is None:
                raise RecordRefused("CDL-UNKNOWN-ID", "")
            self._known[schema_id] = _parsed(text)
        body = io.BytesIO(value[_HEADER.size :])
        try:
            record = fastavro.schemaless_reader(body, self._known[schema_id], None)
        except Exception:  # noqa: BLE001 - a broken body raises whatever its bytes happen to mean
            raise RecordRefused(GARBAGE, "") from None
        if body.read(1):
            raise RecordRefused("CDL-TRAILING", "")
        return _timed(record, self._known[schema_id])


def _parsed(text: str) -> Any:
    try:
        return fastavro.parse_schema(json.loads(text), named_schemas={})
    except Exception:  # noqa: BLE001 - a schema that is none (JSON Schema, Protobuf) raises whatever it likes
        raise RecordRefused("CDL-INCOMPATIBLE", "") from None


def _json(value: bytes) -> Any:
    try:
        # Money must not become a binary float on its way.
        return json.loads(value, parse_float=_exact)
    except ValueError:
        raise RecordRefused(MAGIC if not value[:1].isascii() else GARBAGE, "") from None


def _exact(text: str) -> Any:
    from decimal import Decimal

    return Decimal(text)


def _timed(record: Any, schema: Any) -> Any:
    """Debezium's microseconds, which Avro shows as plain longs with Connect's name beside them, as times."""
    if isinstance(schema, list):
        arm = next((one for one in schema if isinstance(one, dict)), None)
        return record if record is None or arm is None else _timed(record, arm)
    if not isinstance(schema, dict):
        return record
    if schema.get("connect.name") == _MICROS and isinstance(record, int):
        return _EPOCH + timedelta(microseconds=record)
    if schema.get("type") == "record" and isinstance(record, Mapping):
        kinds = {item["name"]: item["type"] for item in schema["fields"]}
        return {name: _timed(value, kinds.get(name)) for name, value in record.items()}
    return record
