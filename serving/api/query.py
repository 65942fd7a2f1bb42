"""A question becomes one SELECT over the relation `mart`.

Nothing a caller writes enters the text but through `literal`: columns come from the table's own schema, operators,
functions and buckets from tables below, and values are parsed by the column's type first. Ties of an order are broken
by all columns that are shown, so that pages neither overlap nor leave gaps.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from caudal.query import text
from serving.api.ask import RESERVED, Ask, Scalar, Span, Where
from serving.api.errors import BadQuery, TooLarge, nearest

RELATION = "mart"
TENANT = "tenant_id"
COMPARISONS: Mapping[str, str] = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
OPERATORS = frozenset({*COMPARISONS, "in", "null"})
BUCKETS = frozenset({"hour", "day", "week", "month"})
NUMBERS = frozenset({"integer", "decimal", "double"})
FUNCTIONS: Mapping[str, str] = {
    "count": "count({})", "sum": "sum({})", "avg": "avg({})", "min": "min({})", "max": "max({})",
    "distinct": "count(DISTINCT {})",
}  # fmt: skip
# A least or greatest value is one tenant's own, however many share the cell.
ACROSS_TENANTS = frozenset({"count", "sum", "avg", "distinct"})
MICROSECONDS = 'Timestamp(Microsecond, Some("UTC"))'
MOST_GROUPS = 8
MOST_MEASURES = 16


@dataclass(frozen=True)
class Column:
    """A column that may be asked for: `kind` is text, integer, decimal, double, boolean, date, time or other."""

    name: str
    kind: str

    @property
    def comparable(self) -> bool:
        return self.kind != "other"


@dataclass(frozen=True)
class Bounds:
    """What one answer may be. `cell` is the least number of tenants behind an aggregate across tenants."""

    default_limit: int
    max_limit: int
    cell: int = 0


@dataclass(frozen=True)
class Output:
    """A column of the answer and the expression that makes it."""

    name: str
    sql: str


@dataclass(frozen=True)
class Query:
    """What to select. `limit` and `offset` count rows; `groups` None means rows, else it is an aggregate."""

    outputs: tuple[Output, ...]
    filters: tuple[str, ...]
    order: tuple[tuple[str, bool], ...]
    limit: int
    offset: int = 0
    groups: tuple[str, ...] | None = None
    having: str = ""

    def sql(self, *, extra: int = 0) -> str:
        """The text; `extra` rows beyond the limit tell whether a next page exists."""
        chosen = ", ".join(quoted(o.name) for o in self.outputs)
        where = f" WHERE {' AND '.join(self.filters)}" if self.filters else ""
        order = ", ".join(f"{quoted(c)} {'DESC' if down else 'ASC'} NULLS LAST" for c, down in self.order)
        source = f"{RELATION}{where}"
        if self.groups is not None:
            made = ", ".join(f"{o.sql} AS {quoted(o.name)}" for o in self.outputs)
            groups = f" GROUP BY {', '.join(self.groups)}" if self.groups else ""
            having = f" HAVING {self.having}" if self.having else ""
            # in a query of its own, so that an order by `count` never means a column of the mart called so
            source = f"(SELECT {made} FROM {source}{groups}{having})"
        return (
            f"SELECT {chosen} FROM {source}"
            + (f" ORDER BY {order}" if order else "")
            + f" LIMIT {self.limit + extra} OFFSET {self.offset}"
        )


def plan(ask: Ask, columns: Sequence[Column], bounds: Bounds, *, offset: int = 0) -> Query:
    """The query that answers `ask` on a table with these columns.

    Raises BadQuery naming the nearest column, operator or function, and TooLarge above a bound.
    """
    known = {c.name: c for c in columns}
    filters = [_filter(where, known) for where in ask.filters]
    if ask.time is not None:
        filters += _span(ask.time, known)
    limit = _limit(ask.limit, bounds)
    if ask.group or ask.measures:
        return _aggregate(ask, known, tuple(filters), limit, offset, bounds.cell)
    asked = [_known(name, known) for name in ask.columns] or list(known.values())
    outputs = tuple(Output(c.name, quoted(c.name)) for c in dict.fromkeys(asked))
    # rows that are alike in all that is shown may change places; further columns would only have to be read
    ties = asked if all(c.comparable for c in asked) else known.values()
    return Query(outputs, tuple(filters), _order(ask.order, known, ties), limit, offset)


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
                # a plain CAST gives nanoseconds, which hold the years 1678 to 2261 only
                return f"arrow_cast({text(at.isoformat(timespec='microseconds'))}, {text(MICROSECONDS)})"
    except (ValueError, KeyError, InvalidOperation, OverflowError):
        raise BadQuery(
            "a value does not fit its column", where=column.name, why=f"the column holds {column.kind}"
        ) from None
    raise BadQuery("this column cannot be compared", where=column.name)


def _filter(where: Where, known: Mapping[str, Column]) -> str:
    column, value = _known(where.column, known), where.value
    if where.operator not in OPERATORS:
        raise BadQuery("unknown operator", where=column.name, fix=nearest(where.operator, OPERATORS))
    if where.operator == "null":
        if str(value).lower() not in ("true", "false"):
            raise BadQuery("null is true or false", where=column.name)
        return f"{quoted(column.name)} IS {'' if str(value).lower() == 'true' else 'NOT '}NULL"
    if where.operator == "in":
        values = value if isinstance(value, tuple) else (value,)
        return f"{quoted(column.name)} IN ({', '.join(literal(_written(v), column) for v in values)})"
    if isinstance(value, tuple):
        raise BadQuery("only the operator `in` takes a list", where=column.name)
    return f"{quoted(column.name)} {COMPARISONS[where.operator]} {literal(_written(value), column)}"


def _written(value: Scalar) -> str:
    """A JSON value as a parameter would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    # int() and str() of a number with thousands of digits are refused by Python itself
    if isinstance(value, int) and abs(value) >= 10**40:
        raise BadQuery("a number is too large")
    return value if isinstance(value, str) else repr(value)


def _span(span: Span, known: Mapping[str, Column]) -> list[str]:
    times = sorted((c for c in known.values() if c.kind in ("time", "date")), key=lambda c: c.kind, reverse=True)
    if span.column:
        column = _known(span.column, known)
        if column not in times:
            raise BadQuery("this column holds no time", where=column.name, fix=nearest("", (c.name for c in times)))
    elif not times:
        raise BadQuery("this mart has no time", where="time")
    else:
        column = times[0]
    ends = ((">=", span.start), ("<", span.end))
    return [f"{quoted(column.name)} {sign} {literal(value, column)}" for sign, value in ends if value]


def _aggregate(
    ask: Ask, known: Mapping[str, Column], filters: tuple[str, ...], limit: int, offset: int, cell: int
) -> Query:
    if ask.columns:
        raise BadQuery("columns and an aggregate exclude each other", where="columns", fix="name them in group")
    if len(ask.group) > MOST_GROUPS or len(ask.measures) > MOST_MEASURES:
        raise TooLarge("too much for one aggregate", why=f"at most {MOST_GROUPS} groups, {MOST_MEASURES} measures")
    across = cell > 0 and TENANT in known
    if across:
        _across(ask)
    groups = [_group(name, known) for name in ask.group]
    outputs = [*groups, *(_measure(name, known, across=across) for name in ask.measures or ("count",))]
    shown = {o.name: Column(o.name, "text") for o in outputs}
    if len(shown) < len(outputs):
        raise BadQuery("a column of the answer is asked for twice")
    return Query(
        outputs=tuple(outputs),
        filters=filters,
        order=_order(ask.order, shown, shown.values()),
        limit=limit,
        offset=offset,
        groups=tuple(o.sql for o in groups),
        having=f"count(DISTINCT {quoted(TENANT)}) >= {cell}" if across else "",
    )


def _across(ask: Ask) -> None:
    """Refuse what would single tenants out of an aggregate across tenants."""
    measured = {name.partition(".")[2] for name in ask.measures}
    if TENANT in {*(w.column for w in ask.filters), *ask.group, *measured}:
        raise BadQuery("an aggregate across tenants cannot name tenants", where=TENANT, fix="use a token of the tenant")


def _group(name: str, known: Mapping[str, Column]) -> Output:
    base, _, bucket = name.partition(".")
    column = _known(base, known)
    if not column.comparable:
        raise BadQuery("this column cannot be grouped", where=column.name)
    if not bucket:
        return Output(column.name, quoted(column.name))
    if column.kind not in ("time", "date"):
        raise BadQuery("this column holds no time", where=column.name)
    if bucket not in BUCKETS:
        raise BadQuery("unknown bucket of time", where=column.name, fix=nearest(bucket, BUCKETS))
    return Output(f"{column.name}_{bucket}", f"date_trunc('{bucket}', {quoted(column.name)})")


def _measure(name: str, known: Mapping[str, Column], *, across: bool) -> Output:
    function, _, base = name.partition(".")
    if function not in FUNCTIONS:
        raise BadQuery("unknown function", where="measures", fix=nearest(function, FUNCTIONS))
    if across and function not in ACROSS_TENANTS:
        raise BadQuery("this function shows one tenant's own value", where="measures", fix="sum, avg or count")
    if not base:
        if function != "count":
            raise BadQuery("this function needs a column", where="measures", fix=f"{function}.column")
        return Output("count", "count(*)")
    column = _known(base, known)
    if not column.comparable or (function in ("sum", "avg") and column.kind not in NUMBERS):
        raise BadQuery("the function does not fit its column", where=column.name, why=f"it holds {column.kind}")
    return Output(f"{function}_{column.name}", FUNCTIONS[function].format(quoted(column.name)))


def _known(name: str, known: Mapping[str, Column]) -> Column:
    if name not in known:
        raise BadQuery("unknown column or parameter", fix=nearest(name, {*known, *RESERVED}))
    return known[name]


def _order(asked: Sequence[str], known: Mapping[str, Column], ties: Iterable[Column]) -> tuple[tuple[str, bool], ...]:
    order: dict[str, bool] = {}
    for part in asked:
        column = _known(part.removeprefix("-"), known)
        if not column.comparable:
            raise BadQuery("this column has no order", where=column.name)
        order[column.name] = part.startswith("-")
    for column in ties:
        if column.comparable:
            order.setdefault(column.name, False)
    return tuple(order.items())


def _limit(given: int | None, bounds: Bounds) -> int:
    if given is None:
        return min(bounds.default_limit, bounds.max_limit)
    if given < 1:
        raise BadQuery("limit does not fit", where="limit", fix=f"a whole number from 1 to {bounds.max_limit}")
    if given > bounds.max_limit:
        raise TooLarge(
            "limit is above what one answer holds",
            where="limit",
            fix=f"a whole number from 1 to {bounds.max_limit}; further rows come by cursor",
        )
    return given
