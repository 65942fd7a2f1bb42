"""Walks over Avro schemas in JSON form: names resolved, validity checked. Shared by load, lint, compare and tables."""

import re
from collections.abc import Mapping
from typing import Any

from schemas.contract import AvroType

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
NAMED = ("record", "error", "enum", "fixed")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class SchemaInvalid(ValueError):
    """A schema that breaks the Avro specification; `name` is the field or type where, when there is one."""

    def __init__(self, message: str, name: str | None = None) -> None:
        super().__init__(message)
        self.name = name


def validate(schema: AvroType) -> dict[str, dict[str, Any]]:
    """Check a schema against the specification and return its named types by full name.

    Raises SchemaInvalid for unknown types, names defined twice or not at all, illegal names, unions in unions,
    enum symbols or record fields said twice, and defaults that do not fit their type.
    """
    names: dict[str, dict[str, Any]] = {}
    _check(schema, None, names, None)
    return names


def full_name(schema: Mapping[str, Any], space: str | None) -> str:
    """Full name of a named type met inside the name space `space`."""
    name = str(schema["name"])
    if "." in name:
        return name
    own = schema.get("namespace", space)
    return f"{own}.{name}" if own else name


def resolve(name: str, space: str | None, names: Mapping[str, Any]) -> str:
    """The full name that a reference means: as it stands, or inside the name space around it."""
    if "." not in name and space and f"{space}.{name}" in names:
        return f"{space}.{name}"
    return name


def space_of(name: str) -> str | None:
    """The name space of a full name, or None."""
    return name.rpartition(".")[0] or None


def _check(schema: AvroType, space: str | None, names: dict[str, dict[str, Any]], at: str | None) -> None:
    if isinstance(schema, str):
        if schema not in PRIMITIVES and resolve(schema, space, names) not in names:
            raise SchemaInvalid(f"unknown type `{schema}`", at)
    elif isinstance(schema, list):
        _check_union(schema, space, names, at)
    elif isinstance(schema, dict):
        _check_object(schema, space, names, at)
    else:
        raise SchemaInvalid("a type is a name, a list or an object", at)


def _check_union(arms: list[Any], space: str | None, names: dict[str, dict[str, Any]], at: str | None) -> None:
    seen: set[str] = set()
    for arm in arms:
        if isinstance(arm, list):
            raise SchemaInvalid("a union directly inside a union", at)
        _check(arm, space, names, at)
        label = arm_name(arm, space, names)
        if label in seen:
            raise SchemaInvalid(f"`{label}` twice in one union", at)
        seen.add(label)


def arm_name(arm: AvroType, space: str | None, names: Mapping[str, Any]) -> str:
    """What tells the arms of a union apart: the full name of named types, else the type."""
    if isinstance(arm, str):
        return arm if arm in PRIMITIVES else resolve(arm, space, names)
    kind = str(arm["type"])
    return full_name(arm, space) if kind in NAMED else kind


def _check_object(schema: dict[str, Any], space: str | None, names: dict[str, dict[str, Any]], at: str | None) -> None:
    kind = schema.get("type")
    if kind in NAMED:
        _check_named(str(kind), schema, space, names, at)
    elif kind == "array":
        _check(_part(schema, "items", at), space, names, at)
    elif kind == "map":
        _check(_part(schema, "values", at), space, names, at)
    elif isinstance(kind, str) and kind in PRIMITIVES:
        _check_decimal(schema, at)
    elif kind is not None:
        _check(kind, space, names, at)
    else:
        raise SchemaInvalid("an object without `type`", at)


def _check_named(
    kind: str, schema: dict[str, Any], space: str | None, names: dict[str, dict[str, Any]], at: str | None
) -> None:
    if not isinstance(schema.get("name"), str):
        raise SchemaInvalid(f"a {kind} without a name", at)
    name = full_name(schema, space)
    if not _NAME.fullmatch(name) or name in PRIMITIVES:
        raise SchemaInvalid(f"`{name}` is no legal name", str(schema["name"]))
    if name in names:
        raise SchemaInvalid(f"`{name}` is defined twice", str(schema["name"]))
    names[name] = schema
    if kind == "enum":
        symbols = _part(schema, "symbols", name)
        if not isinstance(symbols, list) or not all(isinstance(s, str) and _NAME.fullmatch(s) for s in symbols):
            raise SchemaInvalid("enum symbols are names", name)
        if len(set(symbols)) != len(symbols):
            raise SchemaInvalid("an enum symbol is said twice", name)
        if "default" in schema and schema["default"] not in symbols:
            raise SchemaInvalid("the enum default is none of its symbols", name)
    elif kind == "fixed":
        size = _part(schema, "size", name)
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise SchemaInvalid("`size` of a fixed is a number of bytes", name)
        _check_decimal(schema, name)
    else:
        _check_fields(schema, name, names)


def _check_fields(schema: dict[str, Any], name: str, names: dict[str, dict[str, Any]]) -> None:
    fields = _part(schema, "fields", name)
    if not isinstance(fields, list):
        raise SchemaInvalid("`fields` is a list", name)
    seen: set[str] = set()
    for item in fields:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str) or "type" not in item:
            raise SchemaInvalid("a field has a name and a type", name)
        label = item["name"]
        if not _NAME.fullmatch(label) or "." in label:
            raise SchemaInvalid(f"`{label}` is no legal field name", label)
        if label in seen:
            raise SchemaInvalid(f"field `{label}` is said twice", label)
        seen.add(label)
        _check(item["type"], space_of(name), names, label)
        if "default" in item and not _default_fits(item["type"], item["default"], space_of(name), names):
            raise SchemaInvalid(f"the default of `{label}` does not fit its type", label)


def _check_decimal(schema: dict[str, Any], at: str | None) -> None:
    if schema.get("logicalType") != "decimal":
        return
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if not isinstance(precision, int) or not isinstance(scale, int) or not 0 <= scale <= precision or precision < 1:
        raise SchemaInvalid("a decimal has precision >= 1 and 0 <= scale <= precision", at)


def _part(schema: dict[str, Any], name: str, at: str | None) -> Any:
    if name not in schema:
        raise SchemaInvalid(f"`{name}` is missing", at)
    return schema[name]


def _default_fits(kind: AvroType, value: Any, space: str | None, names: Mapping[str, Any]) -> bool:
    """Avro 1.12 lets a union's default fit any arm; earlier readers want the first one, and lint asks for that."""
    if isinstance(kind, list):
        return any(_default_fits(arm, value, space, names) for arm in kind)
    if isinstance(kind, str):
        if kind in PRIMITIVES:
            return _primitive_fits(kind, value)
        name = resolve(kind, space, names)
        return _default_fits(names[name], value, space_of(name), names)
    inner = kind["type"]
    if inner in ("record", "error"):
        below = space_of(full_name(kind, space))
        return isinstance(value, dict) and all(
            _default_fits(f["type"], value[f["name"]], below, names) if f["name"] in value else "default" in f
            for f in kind["fields"]
        )
    if inner == "enum":
        return value in kind["symbols"]
    if inner == "fixed":
        return isinstance(value, str) and len(value) == kind["size"]
    if inner == "array":
        return isinstance(value, list) and all(_default_fits(kind["items"], v, space, names) for v in value)
    if inner == "map":
        return isinstance(value, dict) and all(_default_fits(kind["values"], v, space, names) for v in value.values())
    return _default_fits(inner, value, space, names)


def _primitive_fits(kind: str, value: Any) -> bool:
    if kind == "null":
        return value is None
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in ("int", "long"):
        bits = 31 if kind == "int" else 63
        return isinstance(value, int) and not isinstance(value, bool) and -(2**bits) <= value < 2**bits
    if kind in ("float", "double"):
        if isinstance(value, str):
            return value in ("NaN", "INF", "-INF", "Infinity", "-Infinity")
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "bytes":
        return isinstance(value, str) and all(ord(c) < 256 for c in value)
    return isinstance(value, str)
