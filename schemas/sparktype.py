"""Spark types of Avro fields, as small trees that can be compared, merged and written as SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.avro import PRIMITIVES, arm_name, full_name, resolve, space_of
from schemas.contract import AvroType

_LEAVES = {
    "boolean": "BOOLEAN",
    "int": "BIGINT",
    "long": "BIGINT",
    "float": "DOUBLE",
    "double": "DOUBLE",
    "bytes": "BINARY",
    "string": "STRING",
    "enum": "STRING",
    "fixed": "BINARY",
}
_LOGICAL = {
    ("int", "date"): "DATE",
    ("long", "timestamp-millis"): "TIMESTAMP",
    ("long", "timestamp-micros"): "TIMESTAMP",
}
_WORD = re.compile(r"\s*([A-Za-z_]+(?:\(\s*\d+\s*,\s*\d+\s*\))?)")
# Spark would read these as numbers of another unit, or not at all: refused rather than guessed.
_REFUSED = ("timestamp-nanos", "local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos", "duration")


class NoSparkType(ValueError):
    """An Avro type that no table can hold; the message says which and what to write instead."""


@dataclass(frozen=True)
class Leaf:
    name: str

    def sql(self) -> str:
        return self.name


@dataclass(frozen=True)
class Array:
    item: SparkType

    def sql(self) -> str:
        return f"ARRAY<{self.item.sql()}>"


@dataclass(frozen=True)
class Map:
    value: SparkType

    def sql(self) -> str:
        return f"MAP<STRING, {self.value.sql()}>"


@dataclass(frozen=True)
class Struct:
    fields: tuple[tuple[str, SparkType], ...]

    def sql(self) -> str:
        return "STRUCT<" + ", ".join(f"{name}: {kind.sql()}" for name, kind in self.fields) + ">"


SparkType = Leaf | Array | Map | Struct
STRING = Leaf("STRING")
MEMBER = "member_"
"""Begins the name of a struct's field that stands for one arm of a union; what Spark calls it, too."""


def of(kind: AvroType, names: Mapping[str, Any], space: str | None = None) -> SparkType:
    """The Spark type of an Avro type; `names` holds the schema's named types by full name.

    Integers become BIGINT and floats DOUBLE, so that no later promotion changes a column. Raises NoSparkType.
    """
    return _of(kind, names, space, ())


def _of(kind: AvroType, names: Mapping[str, Any], space: str | None, above: tuple[str, ...]) -> SparkType:
    if isinstance(kind, list):
        return _union([arm for arm in kind if arm != "null"], names, space, above)
    if isinstance(kind, str):
        if kind in PRIMITIVES:
            return _leaf(kind, {})
        name = resolve(kind, space, names)
        return _of(names[name], names, space_of(name), above)
    inner = kind["type"]
    if inner == "array":
        return Array(_of(kind["items"], names, space, above))
    if inner == "map":
        return Map(_of(kind["values"], names, space, above))
    if inner == "record":
        name = full_name(kind, space)
        if not kind["fields"]:
            raise NoSparkType(f"`{name}` has no fields; a table cannot hold that")
        if name in above:
            raise NoSparkType(f"`{name}` contains itself; a table cannot hold that")
        below, deeper = space_of(name), (*above, name)
        return Struct(tuple((f["name"], _of(f["type"], names, below, deeper)) for f in kind["fields"]))
    if isinstance(inner, str) and inner in _LEAVES:
        return _leaf(inner, kind)
    return _of(inner, names, space, above)


def _union(arms: list[AvroType], names: Mapping[str, Any], space: str | None, above: tuple[str, ...]) -> SparkType:
    """One arm is its type; several are a struct with one field for each, named by it, of which one has a value.

    Two of the numbers are one wider number, which is how Spark reads them.
    """
    if not arms:
        raise NoSparkType("a field that is always null has no column")
    kinds = [_of(arm, names, space, above) for arm in arms]
    if len(arms) == 1:
        return kinds[0]
    told = [arm if isinstance(arm, str) else str(arm["type"]) for arm in arms]
    if sorted(told) in (["int", "long"], ["double", "float"]):
        return Leaf("BIGINT" if "int" in told else "DOUBLE")
    labels = [MEMBER + arm_name(arm, space, names).rpartition(".")[2] for arm in arms]
    if len({label.lower() for label in labels}) < len(labels):
        raise NoSparkType("a union of types whose names differ in case or name space only; give them other names")
    return Struct(tuple(zip(labels, kinds, strict=True)))


def _leaf(kind: str, schema: Mapping[str, Any]) -> Leaf:
    logical = schema.get("logicalType")
    if logical in _REFUSED:
        raise NoSparkType(f"logical type `{logical}` has no column; use timestamp-millis (UTC)")
    if logical == "decimal":
        if schema["precision"] > 38:
            raise NoSparkType("a decimal has at most 38 digits")
        return Leaf(f"DECIMAL({schema['precision']},{schema.get('scale', 0)})")
    if kind == "null":
        raise NoSparkType("a field that is always null has no column")
    return Leaf(_LOGICAL.get((kind, str(logical)), _LEAVES[kind]))


def merge(old: SparkType, new: SparkType) -> SparkType | None:
    """The type of a column that holds rows of both, or None when only another column can.

    The only thing that may differ are fields of structs: those of both stay, in order of first appearance.
    """
    if old == new:
        return old
    if isinstance(old, Array) and isinstance(new, Array):
        item = merge(old.item, new.item)
        return None if item is None else Array(item)
    if isinstance(old, Map) and isinstance(new, Map):
        value = merge(old.value, new.value)
        return None if value is None else Map(value)
    if isinstance(old, Struct) and isinstance(new, Struct):
        fields = dict(old.fields)
        for name, kind in new.fields:
            both = merge(fields[name], kind) if name in fields else kind
            if both is None:
                return None
            fields[name] = both
        return Struct(tuple(fields.items()))
    return None


def parse(text: str) -> SparkType:
    """The type that Spark writes as `array<struct<a:bigint>>` (or our own `ARRAY<STRUCT<a: BIGINT>>`).

    Raises NoSparkType for a text that is none of the types a silver table has.
    """
    kind, rest = _parse(text.strip())
    if rest:
        raise NoSparkType(f"`{text}` is no type of a silver table")
    return kind


def _parse(text: str) -> tuple[SparkType, str]:
    match = _WORD.match(text)
    if match is None:
        raise NoSparkType(f"`{text}` is no type of a silver table")
    word, rest = match[1].upper().replace(" ", ""), text[match.end() :]
    if word not in ("ARRAY", "MAP", "STRUCT"):
        return Leaf(word), rest
    if word == "STRUCT":
        return _parse_struct(_after(rest, "<"))
    item, rest = _parse(_after(rest, "<"))
    if word == "ARRAY":
        return Array(item), _after(rest, ">")
    value, rest = _parse(_after(rest, ","))
    return Map(value), _after(rest, ">")


def _parse_struct(rest: str) -> tuple[SparkType, str]:
    fields: list[tuple[str, SparkType]] = []
    while True:
        name, _, rest = rest.partition(":")
        kind, rest = _parse(rest.lstrip())
        fields.append((name.strip().strip("`"), kind))
        if rest.lstrip().startswith(">"):
            return Struct(tuple(fields)), _after(rest, ">")
        rest = _after(rest, ",")


def _after(text: str, sign: str) -> str:
    text = text.lstrip()
    if not text.startswith(sign):
        raise NoSparkType(f"`{sign}` was expected before `{text}`")
    return text[len(sign) :].lstrip()
