"""Schemas by which a few bytes could take any amount of memory, stack or time: refused before a byte is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.avro import NAMED, PRIMITIVES, full_name, resolve, space_of, validate
from schemas.contract import AvroType


def unbounded(schema: AvroType) -> str | None:
    """Why values of this schema have no bound that follows from their bytes; None when they have. Raises SchemaInvalid.

    A type inside itself nests as deep as somebody writes it, and items that take no bytes come in any number.
    """
    names = validate(schema)
    inside = {name: set(_named_in(kind, space_of(name), names)) for name, kind in names.items()}
    for name in inside:
        if _reaches(name, inside):
            return f"`{name}` contains itself"
    for part, space in _parts(schema, None):
        if isinstance(part, dict) and part.get("type") == "array" and _empty(part["items"], space, names):
            return "an array's items take no bytes"
    return None


def _parts(schema: AvroType, space: str | None) -> Iterator[tuple[AvroType, str | None]]:
    """Every type written out in a schema, itself first, with the name space around it."""
    yield schema, space
    inner: list[AvroType] = []
    if isinstance(schema, list):
        inner = schema
    elif isinstance(schema, dict):
        if schema.get("type") in NAMED:
            space = space_of(full_name(schema, space))
        inner = [schema[part] for part in ("items", "values") if part in schema]
        inner += [item["type"] for item in schema.get("fields", ())]
        inner += [] if isinstance(schema["type"], str) else [schema["type"]]
    for part in inner:
        yield from _parts(part, space)


def _named_in(kind: AvroType, space: str | None, names: Mapping[str, Any]) -> Iterator[str]:
    """Full names of the named types that a definition mentions or defines inside itself."""
    for part, around in _parts(kind, space):
        if isinstance(part, str) and part not in PRIMITIVES:
            yield resolve(part, around, names)
        elif isinstance(part, dict) and part.get("type") in NAMED and part is not kind:
            yield full_name(part, around)


def _reaches(name: str, inside: Mapping[str, set[str]]) -> bool:
    seen: set[str] = set()
    todo = [*inside[name]]
    while todo:
        one = todo.pop()
        if one == name:
            return True
        if one not in seen:
            seen.add(one)
            todo += inside[one]
    return False


def _empty(kind: AvroType, space: str | None, names: Mapping[str, Any]) -> bool:
    """Whether a value takes no bytes. For schemas in which nothing contains itself."""
    if isinstance(kind, str) and kind not in PRIMITIVES:
        name = resolve(kind, space, names)
        return _empty(names[name], space_of(name), names)
    if isinstance(kind, str):
        return kind == "null"
    if isinstance(kind, list) or kind["type"] in ("array", "map", "enum"):
        return False
    if kind["type"] in ("record", "error"):
        below = space_of(full_name(kind, space))
        return all(_empty(item["type"], below, names) for item in kind["fields"])
    if kind["type"] == "fixed":
        return bool(kind["size"] == 0)
    return _empty(kind["type"], space, names)
