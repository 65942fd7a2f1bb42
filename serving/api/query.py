"""Parameters of a request become one SELECT over the relation `mart`.

Nothing a caller writes enters the text but through `literal`: columns come from the table's own schema, operators
from `OPERATORS`, and values are parsed by the column's type first. Ties of an order are broken by all further
columns, so that pages neither overlap nor leave gaps.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from caudal.query import text
from serving.api.errors import BadQuery, nearest

RELATION = "mart"
RESERVED = frozenset({"limit", "cursor", "columns", "order"})
OPERATORS: Mapping[str, str] = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
# A value longer than any key, code or time of a mart is a mistake or an attack.
LONGEST_VALUE = 256
MOST_FILTERS = 16


@dataclass(frozen=True)
class Column:
    """A column that may be asked for: `kind` is text, integer, decimal, double, boolean, date, time or other."""

    name: str
    kind: str

    @property
    def comparable(self) -> bool:
        return self.kind != "other"


@dataclass(frozen=True)
class Filter:
    """`column operator literal`, with the literal already written as SQL."""

    column: str
    operator: str
    sql: str


@dataclass(frozen=True)
class Query:
    """What to select. `limit` and `offset` count rows."""

    columns: tuple[str, ...]
    filters: tuple[Filter, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int
    offset: int = 0

    def sql(self, *, extra: int = 0) -> str:
        """The text; `extra` rows beyond the limit tell whether a next page exists."""
        where = " AND ".join(f"{quoted(f.column)} {f.operator} {f.sql}" for f in self.filters)
        order = ", ".join(f"{quoted(c)} {'DESC' if down else 'ASC'} NULLS LAST" for c, down in self.order)
        return (
            f"SELECT {', '.join(quoted(c) for c in self.columns)} FROM {RELATION}"
            + (f" WHERE {where}" if where else "")
            + (f" ORDER BY {order}" if order else "")
            + f" LIMIT {self.limit + extra} OFFSET {self.offset}"
        )


def parse(
    parameters: Sequence[tuple[str, str]], columns: Sequence[Column], *, default_limit: int, max_limit: int
) -> Query:
    """Read a request's parameters against the table's columns.

    `limit=50`, `columns=a,b`, `order=-created_at`, and filters `status=paid` or `created_at.gte=2026-01-01`.
    Raises BadQuery naming the nearest column or operator.
    """
    known = {c.name: c for c in columns}
    single: dict[str, str] = {}
    filters: list[Filter] = []
    for name, value in parameters:
        if len(value) > LONGEST_VALUE and name != "cursor":
            raise BadQuery(
                "a value is too long",
                where=name if name in known else "query",
                why=f"longer than {LONGEST_VALUE} characters",
            )
        if name in RESERVED:
            if name in single:
                raise BadQuery("a parameter is given twice", where=name)
            single[name] = value
        else:
            filters.append(_filter(name, value, known))
    if len(filters) > MOST_FILTERS:
        raise BadQuery("too many filters", why=f"more than {MOST_FILTERS}")
    asked = single["columns"].split(",") if "columns" in single else known
    chosen = tuple(_known(c, known).name for c in asked)
    return Query(
        columns=tuple(dict.fromkeys(chosen)),
        filters=tuple(filters),
        order=_order(single.get("order", ""), known),
        limit=_limit(single.get("limit", ""), default_limit, max_limit),
    )


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str, column: Column) -> str:
    """A value as an SQL literal of the column's type. Raises BadQuery when it does not fit the type."""
    try:
        match column.kind:
            case "text":
                if "\x00" in value:
                    raise ValueError
                return text(value)
            case "integer":
                number = int(value)
                if not -(2**63) <= number < 2**63:
                    raise ValueError
                return str(number)
            case "decimal":
                exact = Decimal(value)
                if not exact.is_finite() or abs(exact) >= Decimal(10) ** 20 or exact != round(exact, 18):
                    raise ValueError
                return f"CAST({text(format(exact, 'f'))} AS DECIMAL(38, 18))"
            case "double":
                if not math.isfinite(float(value)):
                    raise ValueError
                return f"CAST({text(repr(float(value)))} AS DOUBLE)"
            case "boolean":
                return {"true": "TRUE", "false": "FALSE"}[value.lower()]
            case "date":
                return f"CAST({text(dt.date.fromisoformat(value).isoformat())} AS DATE)"
            case "time":
                at = dt.datetime.fromisoformat(value)
                at = at.replace(tzinfo=at.tzinfo or dt.UTC).astimezone(dt.UTC)
                return f"CAST({text(at.strftime('%Y-%m-%dT%H:%M:%S.%f') + 'Z')} AS TIMESTAMP)"
    except (ValueError, KeyError, InvalidOperation, OverflowError):
        raise BadQuery(
            "a value does not fit its column", where=column.name, why=f"the column holds {column.kind}"
        ) from None
    raise BadQuery("this column cannot be compared", where=column.name)


def _filter(name: str, value: str, known: Mapping[str, Column]) -> Filter:
    column, _, operator = name.partition(".")
    found = _known(column, known)
    if (operator or "eq") not in OPERATORS:
        raise BadQuery("unknown operator", where=found.name, fix=nearest(operator, OPERATORS))
    return Filter(found.name, OPERATORS[operator or "eq"], literal(value, found))


def _known(name: str, known: Mapping[str, Column]) -> Column:
    if name not in known:
        raise BadQuery("unknown column or parameter", fix=nearest(name, {*known, *RESERVED}))
    return known[name]


def _order(text_: str, known: Mapping[str, Column]) -> tuple[tuple[str, bool], ...]:
    asked = [(_known(part.lstrip("-"), known), part.startswith("-")) for part in text_.split(",") if part]
    for column, _ in asked:
        if not column.comparable:
            raise BadQuery("this column has no order", where=column.name)
    order = {column.name: down for column, down in asked}
    for column in known.values():
        if column.comparable:
            order.setdefault(column.name, False)
    return tuple(order.items())


def _limit(given: str, default: int, most: int) -> int:
    if not given:
        return min(default, most)
    if not given.isascii() or not given.isdigit() or len(given) > 9 or not 1 <= int(given) <= most:
        raise BadQuery("limit does not fit", where="limit", fix=f"a whole number from 1 to {most}")
    return int(given)
