"""The bytes of a record: message key, and Avro body behind Confluent's magic byte and registry id."""

import io
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import fastavro

from schemas.contract import Avro

_HEADER = struct.Struct(">bI")
MAGIC = 0


def message_key(values: Sequence[object]) -> bytes:
    """UTF-8 JSON array of the key's values, without spaces."""
    return json.dumps(list(values), separators=(",", ":"), ensure_ascii=False).encode()


def compile_encoder(wire: Avro, registry_id: int) -> Callable[[Mapping[str, Any]], bytes]:
    """A function from wire record to framed bytes. It raises what fastavro raises for a record that does not fit."""
    # An own table of names: two contracts may define types of one name.
    schema = fastavro.parse_schema(json.loads(json.dumps(wire)), named_schemas={})
    header = _HEADER.pack(MAGIC, registry_id)
    write = fastavro.schemaless_writer

    def encode(record: Mapping[str, Any]) -> bytes:
        out = io.BytesIO()
        out.write(header)
        write(out, schema, record)
        return out.getvalue()

    return encode


def decode(value: bytes, wire: Avro) -> tuple[int, Any]:
    """(registry id, wire record) of framed bytes written with `wire`. Raises ValueError for another magic byte."""
    magic, registry_id = _HEADER.unpack_from(value)
    if magic != MAGIC:
        raise ValueError("wrong magic byte")
    schema = fastavro.parse_schema(json.loads(json.dumps(wire)), named_schemas={})
    return registry_id, fastavro.schemaless_reader(io.BytesIO(value[_HEADER.size :]), schema, None)
