"""Apache Avro's reader/writer pairs as fields of one contract, and values of any Avro type."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro

from schemas.avro import NAMED, PRIMITIVES

AVRO_FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "avro-apache"


@dataclass(frozen=True)
class Pair:
    """One of the 131, its named types in a name space of its own so that all fit into one schema."""

    name: str
    reader: Any
    writer: Any
    compatible: bool


def pairs() -> Iterator[Pair]:
    """All of them, in the file's order."""
    lines = (AVRO_FIXTURES / "compat_vectors.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        one, space = json.loads(line), f"p{number:03}"
        yield Pair(space, _moved(one["reader"], space, None), _moved(one["writer"], space, None), one["compatible"])


def _moved(kind: Any, space: str, around: str | None) -> Any:
    """The type with each name space put inside `space`."""
    if isinstance(kind, list):
        return [_moved(arm, space, around) for arm in kind]
    if isinstance(kind, str):
        return kind if kind in PRIMITIVES or "." not in kind else f"{space}.{kind}"
    if not isinstance(kind, dict):
        return kind
    out = dict(kind)
    if kind.get("type") in NAMED:
        around = kind.get("namespace", around)
        out["namespace"] = f"{space}.{around}" if around else space
    for part in ("items", "values"):
        if part in out:
            out[part] = _moved(out[part], space, around)
    if not isinstance(kind["type"], str):
        out["type"] = _moved(kind["type"], space, around)
    if "fields" in out:
        out["fields"] = [{**item, "type": _moved(item["type"], space, around)} for item in kind["fields"]]
    return out


def value_of(kind: Any, seed: int) -> Any:
    """A value of an Avro type; another seed gives another one where there are several."""
    if isinstance(kind, list):
        return value_of(kind[seed % len(kind)], seed)
    if isinstance(kind, dict):
        match kind["type"]:
            case "record":
                return {item["name"]: value_of(item["type"], seed + i) for i, item in enumerate(kind["fields"])}
            case "array":
                return [value_of(kind["items"], seed + i) for i in range(seed % 3 + 1)]
            case "map":
                return {f"k{i}": value_of(kind["values"], seed + i) for i in range(seed % 3 + 1)}
            case "enum":
                return kind["symbols"][seed % len(kind["symbols"])]
            case "fixed":
                return bytes((seed + i) % 128 for i in range(kind["size"]))
            case inner:
                return value_of(inner, seed)
    return {
        "null": None, "boolean": seed % 2 == 0, "int": 2_000_000_011 - seed, "long": -(2**62) + seed,
        "float": 0.5 * seed, "double": 0.1 * seed, "bytes": b"b\x00%d" % seed, "string": f"tão {seed}",
    }[kind]  # fmt: skip


def default_of(kind: Any) -> Any:
    """A default of an Avro type in JSON form."""
    if isinstance(kind, list):
        return default_of(kind[0])
    if isinstance(kind, dict):
        match kind["type"]:
            case "record":
                return {item["name"]: default_of(item["type"]) for item in kind["fields"]}
            case "array":
                return []
            case "map":
                return {}
            case "enum":
                return kind["symbols"][0]
            case "fixed":
                return "\x00" * kind["size"]
            case inner:
                return default_of(inner)
    return {"null": None, "boolean": False, "bytes": "", "string": ""}.get(kind, 0)


def encoded(schema: Mapping[str, Any], value: Any) -> bytes:
    """An Avro body."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(schema), named_schemas={}), value)
    return out.getvalue()


def resolved(body: bytes, writer: Mapping[str, Any], reader: Mapping[str, Any]) -> dict[str, Any]:
    """What fastavro reads of a body."""
    parsed = [fastavro.parse_schema(dict(one), named_schemas={}) for one in (writer, reader)]
    found: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(body), *parsed)
    return found


def zigzag(number: int) -> bytes:
    """A long as Avro writes it."""
    left, out = (number << 1) ^ (number >> 63), bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def as_silver(kind: Any, value: Any) -> Any:
    """A value read under type `kind` as silver's reader shows it: floats of 32 bits, maps as pairs, unions by arm."""
    if isinstance(kind, list):
        arms = [arm for arm in kind if arm != "null"]
        if value is None or len(arms) == 1:
            return None if value is None else as_silver(arms[0], value)
        return {f"member_{_label(arm)}": as_silver(arm, value) if _is(arm, value) else None for arm in arms}
    if isinstance(kind, dict) and isinstance(value, dict):
        if kind["type"] == "map":
            return sorted((name, as_silver(kind["values"], one)) for name, one in value.items())
        return {item["name"]: as_silver(item["type"], value.get(item["name"])) for item in kind["fields"]}
    if isinstance(kind, dict) and kind["type"] == "array":
        return [as_silver(kind["items"], one) for one in value]
    if kind == "float":
        return struct.unpack("f", struct.pack("f", value))[0]
    return float(value) if kind == "double" else value


def _label(arm: Any) -> str:
    return str(arm if isinstance(arm, str) else arm["name"] if arm["type"] in NAMED else arm["type"])


def _is(arm: Any, value: Any) -> bool:
    kinds: dict[str, type] = {"int": int, "long": int, "string": str, "record": dict, "array": list, "boolean": bool}
    found = kinds[arm if isinstance(arm, str) else arm["type"]]
    return isinstance(value, found) and not (found is int and isinstance(value, bool))
