"""Small tables as SQL text: a SELECT of literal rows with typed columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from schemas.rule_spark import string_literal


def rows(columns: str, values: Iterable[Sequence[object]]) -> str:
    """A SELECT of these rows; `columns` is `name type, name type`. Without a row it has the shape all the same."""
    named = [column.strip().split(" ", 1) for column in columns.split(", ")]
    listed = ", ".join(f"({', '.join(literal(value) for value in row)})" for row in values)
    if not listed:
        return f"select {', '.join(f'cast(null as {kind}) as {name}' for name, kind in named)} where false"
    typed = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in named)
    return f"select {typed} from values {listed} as rows({', '.join(name for name, _ in named)})"


def literal(value: object) -> str:
    """A value as Spark writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | Decimal():
            return str(value)
        case datetime():
            return f"timestamp '{value.isoformat(sep=' ', timespec='milliseconds')}'"
        case str():
            return string_literal(value)
    raise TypeError(f"no literal for {type(value).__name__}")
