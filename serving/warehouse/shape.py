"""A mart's columns in PostgreSQL, from the Delta table's own schema. Every type maps exactly, or is refused."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serving.warehouse.errors import NoType

TENANT = "tenant_id"
_NUMERIC = re.compile(r"numeric\(\d+,-?\d+\)")
_DECIMAL = re.compile(r"decimal\((\d+),\s*(-?\d+)\)")
_SCALARS: Mapping[str, str] = {
    "string": "text",
    "byte": "smallint",
    "short": "smallint",
    "integer": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp with time zone",
    "timestamp_ntz": "timestamp without time zone",
}


@dataclass(frozen=True)
class Column:
    """A column with PostgreSQL's type; a `mask` needs a role."""

    name: str
    type: str
    mask: bool = False

    @property
    def exact(self) -> bool:
        """Whether sums of it are exact."""
        return self.type in ("smallint", "integer", "bigint") or bool(_NUMERIC.fullmatch(self.type))

    @property
    def rounded(self) -> bool:
        """Whether sums of it depend on their order."""
        return self.type in ("real", "double precision")


@dataclass(frozen=True)
class Shape:
    """A mart's columns in its own order, and the key that tells its rows apart (empty: none is known)."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    @property
    def plain(self) -> tuple[str, ...]:
        """The columns that every login of the tenant may see."""
        return self.seen().names

    @property
    def masked(self) -> bool:
        return any(c.mask for c in self.columns)

    @property
    def by_tenant(self) -> bool:
        """Whether rows belong to tenants; those of a mart that does not say so are for operators."""
        return TENANT in self.names

    def seen(self) -> Shape:
        """What is left without masks."""
        return Shape(tuple(c for c in self.columns if not c.mask), self.key)

    def record(self) -> dict[str, Any]:
        """JSON-ready: two shapes are equal when these are."""
        return {"columns": [[c.name, c.type, c.mask] for c in self.columns], "key": list(self.key)}

    @staticmethod
    def of(record: Mapping[str, Any]) -> Shape:
        """The shape that `record` made it from."""
        return Shape(tuple(Column(*column) for column in record["columns"]), tuple(record["key"]))


def shape(fields: Iterable[Mapping[str, Any]], key: Iterable[str], masks: Collection[str]) -> Shape:
    """The shape of a Delta table with these fields (as its schema's JSON has them).

    Binary columns are left out, as in the API. Raises NoType for structs, maps and lists of lists.
    """
    columns = tuple(
        Column(field["name"], _type(field["name"], field["type"]), field["name"] in masks)
        for field in fields
        if field["type"] != "binary"
    )
    known = {c.name for c in columns}
    wanted = tuple(key)
    return Shape(columns, wanted if set(wanted) <= known else ())


def _type(name: str, delta: Any) -> str:
    if isinstance(delta, str):
        found = _DECIMAL.fullmatch(delta)
        if found:
            return f"numeric({found[1]},{found[2]})"
        if delta in _SCALARS:
            return _SCALARS[delta]
    elif delta.get("type") == "array" and isinstance(delta["elementType"], str):
        return f"{_type(name, delta['elementType'])}[]"
    raise NoType(
        f"column {name} has a type that PostgreSQL has no exact one for",
        where=name,
        why=delta if isinstance(delta, str) else str(delta.get("type")),
        fix="give the mart scalars, or lists of scalars",
    )
