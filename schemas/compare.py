"""Avro compatibility: can a reader's schema read what a writer's schema wrote, by the rules of the specification.

The seven levels of a registry stand on that one question. Schemas come in JSON form, with references already inlined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from schemas.avro import NAMED, PRIMITIVES, full_name, resolve, space_of, validate
from schemas.contract import AvroType

Level = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]  # fmt: skip
Kind = Literal[
    "NAME_MISMATCH",
    "FIXED_SIZE_MISMATCH",
    "MISSING_ENUM_SYMBOLS",
    "READER_FIELD_MISSING_DEFAULT_VALUE",
    "TYPE_MISMATCH",
    "MISSING_UNION_BRANCH",
    "DECIMAL_MISMATCH",
]

# What a reader takes besides its own type (specification, `Schema Resolution`).
_PROMOTIONS = {
    "long": {"int"},
    "float": {"int", "long"},
    "double": {"int", "long", "float"},
    "string": {"bytes"},
    "bytes": {"string"},
}


@dataclass(frozen=True)
class Incompatibility:
    """Why a reader cannot read a writer.

    `path` points into the reader's schema (for a lost union arm: into the writer's). `reads` says which side was the
    reader, `old` is the place, from 0, of the older schema in the list given to `check`.
    """

    kind: Kind
    path: str
    message: str
    reads: Literal["new", "old"] = "new"
    old: int | None = None


def compatible(reader: AvroType, writer: AvroType) -> list[Incompatibility]:
    """Everything that keeps `reader` from reading data of `writer`; an empty list when it can. Raises SchemaInvalid."""
    return _Comparison(validate(reader), validate(writer)).run(_Node(reader, None), _Node(writer, None), "")


def check(level: str, new: AvroType, olds: Sequence[AvroType]) -> list[Incompatibility]:
    """What forbids `new` after `olds` (oldest first) under one of the seven levels; an empty list when nothing does.

    BACKWARD: new reads the last old. FORWARD: the last old reads new. FULL: both. `_TRANSITIVE`: every old, not the
    last alone. Raises ValueError for an unknown level.
    """
    direction, _, transitive = level.partition("_")
    if direction not in ("NONE", "BACKWARD", "FORWARD", "FULL") or transitive not in ("", "TRANSITIVE"):
        raise ValueError(f"unknown compatibility level {level!r}")
    found: list[Incompatibility] = []
    if direction == "NONE":
        return found
    first = 0 if transitive else max(len(olds) - 1, 0)
    for index in range(len(olds) - 1, first - 1, -1):
        old = olds[index]
        if direction in ("BACKWARD", "FULL"):
            found += [replace(item, reads="new", old=index) for item in compatible(new, old)]
        if direction in ("FORWARD", "FULL"):
            found += [replace(item, reads="old", old=index) for item in compatible(old, new)]
    return found


@dataclass(frozen=True)
class _Node:
    """A type and the name space it stands in."""

    schema: Any
    space: str | None

    @property
    def kind(self) -> str:
        if isinstance(self.schema, list):
            return "union"
        return str(self.schema["type"]) if isinstance(self.schema, dict) else str(self.schema)

    @property
    def name(self) -> str:
        return full_name(self.schema, self.space)

    def inner(self, schema: AvroType) -> "_Node":
        named = isinstance(self.schema, dict) and self.kind in ("record", "error")
        return _Node(schema, space_of(self.name) if named else self.space)


class _Comparison:
    def __init__(self, reader_names: Mapping[str, Any], writer_names: Mapping[str, Any]) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        # Pairs of records being compared: a recursive schema is compatible as long as nothing else speaks against it.
        self._open: set[tuple[int, int]] = set()

    def run(self, reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
        reader, writer = _resolved(reader, self._reader_names), _resolved(writer, self._writer_names)
        if writer.kind == "union":
            return self._writer_union(reader, writer, path)
        if reader.kind == "union":
            arms = [reader.inner(arm) for arm in reader.schema]
            if any(not self.run(arm, writer, path) for arm in arms):
                return []
            return [_lost_arm(writer, path)]
        if reader.kind == writer.kind:
            return self._same_kind(reader, writer, path)
        if writer.kind in _PROMOTIONS.get(reader.kind, ()):
            return _decimals(reader, writer, path)
        return [_mismatch(reader, writer, path)]

    def _writer_union(self, reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
        found: list[Incompatibility] = []
        for index, arm in enumerate(writer.schema):
            inner = writer.inner(arm)
            if reader.kind != "union":
                found += self.run(reader, inner, path)
            elif self.run(reader, inner, path):
                found.append(_lost_arm(_resolved(inner, self._writer_names), f"{path}/{index}"))
        return found

    def _same_kind(self, reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
        kind = reader.kind
        if kind == "array":
            return self.run(reader.inner(reader.schema["items"]), writer.inner(writer.schema["items"]), f"{path}/items")
        if kind == "map":
            return self.run(
                reader.inner(reader.schema["values"]), writer.inner(writer.schema["values"]), f"{path}/values"
            )
        if kind not in ("record", "error", "enum", "fixed"):
            return _decimals(reader, writer, path)
        found = _names(reader, writer, path)
        if kind == "enum":
            return found + _symbols(reader, writer, path)
        if kind == "fixed":
            return found + _sizes(reader, writer, path) + _decimals(reader, writer, path)
        return found + self._records(reader, writer, path)

    def _records(self, reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
        pair = (id(reader.schema), id(writer.schema))
        if pair in self._open:
            return []
        self._open.add(pair)
        try:
            written = {field["name"]: field for field in writer.schema["fields"]}
            found: list[Incompatibility] = []
            for index, field in enumerate(reader.schema["fields"]):
                place = f"{path}/fields/{index}"
                names = (field["name"], *field.get("aliases", ()))
                source = next((written[name] for name in names if name in written), None)
                if source is not None:
                    found += self.run(reader.inner(field["type"]), writer.inner(source["type"]), f"{place}/type")
                elif "default" not in field:
                    message = f"field `{field['name']}` is not written and has no default"
                    found.append(Incompatibility("READER_FIELD_MISSING_DEFAULT_VALUE", place, message))
            return found
        finally:
            self._open.discard(pair)


def _resolved(node: _Node, names: Mapping[str, Any]) -> _Node:
    """The definition behind a reference, and the inner type of `{"type": {"type": …}}`."""
    schema, space = node.schema, node.space
    while True:
        if isinstance(schema, str) and schema not in PRIMITIVES:
            name = resolve(schema, space, names)
            schema, space = names[name], space_of(name)
        elif isinstance(schema, dict) and not _is_kind(schema["type"]):
            schema = schema["type"]
        else:
            return _Node(schema, space)


def _is_kind(kind: AvroType) -> bool:
    """Whether `type` of an object names its kind, rather than another type that it wraps."""
    return isinstance(kind, str) and kind in (*PRIMITIVES, *NAMED, "array", "map")


def _names(reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
    """Unqualified names must be equal, or one of the reader's aliases must be the writer's name."""
    written = writer.name
    below = space_of(reader.name)
    aliases = {a if "." in a or not below else f"{below}.{a}" for a in reader.schema.get("aliases", ())}
    if reader.name.rpartition(".")[2] == written.rpartition(".")[2] or written in aliases:
        return []
    return [Incompatibility("NAME_MISMATCH", f"{path}/name", f"expected: {written}, found: {reader.name}")]


def _symbols(reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
    missing = [symbol for symbol in writer.schema["symbols"] if symbol not in reader.schema["symbols"]]
    if not missing or "default" in reader.schema:
        return []
    return [Incompatibility("MISSING_ENUM_SYMBOLS", f"{path}/symbols", f"the reader lacks {', '.join(missing)}")]


def _sizes(reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
    expected, found = writer.schema["size"], reader.schema["size"]
    if expected == found:
        return []
    return [Incompatibility("FIXED_SIZE_MISMATCH", f"{path}/size", f"expected: {expected}, found: {found}")]


def _decimals(reader: _Node, writer: _Node, path: str) -> list[Incompatibility]:
    """Two decimals match when precision and scale do: otherwise every amount would silently change by powers of ten."""
    left, right = _decimal(reader), _decimal(writer)
    if left is None or right is None or left == right:
        return []
    message = f"expected: decimal{right}, found: decimal{left}"
    return [Incompatibility("DECIMAL_MISMATCH", path or "/", message)]


def _decimal(node: _Node) -> tuple[int, int] | None:
    schema = node.schema
    if isinstance(schema, dict) and schema.get("logicalType") == "decimal":
        return int(schema["precision"]), int(schema.get("scale", 0))
    return None


def _mismatch(reader: _Node, writer: _Node, path: str) -> Incompatibility:
    message = f"reader type: {reader.kind} not compatible with writer type: {writer.kind}"
    return Incompatibility("TYPE_MISMATCH", path or "/", message)


def _lost_arm(writer: _Node, path: str) -> Incompatibility:
    message = f"reader union lacking writer type: {writer.kind.upper()}"
    return Incompatibility("MISSING_UNION_BRANCH", path or "/", message)
