"""What a caller asks for, as data: the body of `POST /v1/query`, or the parameters of `GET /v1/gold/{mart}`.

Both roads give one `Ask`, so they mean the same and are checked at one place (`query.plan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from serving.api.errors import BadQuery, TooLarge

# A value longer than any key, code or time of a mart is a mistake or an attack.
LONGEST_VALUE = 256
LONGEST_NAME = 128
LONGEST_CURSOR = 4096
MOST_FILTERS = 16
MOST_VALUES = 100
MOST_NAMES = 256
# Parameters that are no filter. A mart's column of such a name is filtered by `name.eq=`.
LISTS = ("columns", "order", "group", "measures")
SINGLE = ("limit", "cursor", "time", "from", "to", "format")
ENDS = ("from", "to")
RESERVED = frozenset({*LISTS, *SINGLE})

Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Names = Annotated[tuple[Name, ...], Field(max_length=MOST_NAMES)]
Text = Annotated[StrictStr, Field(max_length=LONGEST_VALUE)]
Scalar = Text | StrictBool | StrictInt | StrictFloat
Format = Literal["json", "csv", "parquet", "arrow"]


class Part(BaseModel):
    """Frozen; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Where(Part):
    """One filter. Operators: eq, ne, gt, gte, lt, lte, in (a list), null (true or false)."""

    column: Name
    operator: Name = "eq"
    value: Scalar | Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=MOST_VALUES)]


class Span(Part):
    """A time range: from ≤ `column` < to. Without a column the mart's first time (else date) is meant."""

    column: Name = ""
    start: Text = Field(default="", alias="from")
    end: Text = Field(default="", alias="to")


class Ask(Part):
    """What is asked of one mart. `group` and `measures` make it an aggregate; then `columns` must be empty."""

    columns: Names = ()
    filters: Annotated[tuple[Where, ...], Field(max_length=MOST_FILTERS)] = ()
    time: Span | None = None
    group: Names = ()
    """Columns, or buckets of a time: `updated_at.day` (hour, day, week, month)."""
    measures: Names = ()
    """`count`, or a function and its column: `sum.total` (sum, avg, min, max, distinct)."""
    order: Names = ()
    """Columns of the answer; a leading - turns one around."""
    limit: StrictInt | None = None
    cursor: Annotated[str, Field(max_length=LONGEST_CURSOR)] = ""
    format: Format | None = None

    def bound(self) -> str:
        """What a cursor of this question belongs to: all but the page itself."""
        return self.model_dump_json(exclude={"limit", "cursor", "format"})


class Body(Ask):
    """The body of `POST /v1/query`: a mart, and what is asked of it."""

    mart: Name


def from_parameters(parameters: Sequence[tuple[str, str]]) -> Ask:
    """The question that a GET asks. Raises BadQuery for what no mart could answer, TooLarge for values too long."""
    single: dict[str, str] = {}
    filters: list[Where] = []
    for name, value in parameters:
        if len(value) > _longest(name):
            raise TooLarge("a value is too long", why=f"more than {_longest(name)} characters")
        if name not in RESERVED:
            filters.append(_where(name, value))
        elif name in single:
            raise BadQuery("a parameter is given twice", where=name)
        else:
            single[name] = value
    if len(filters) > MOST_FILTERS:
        raise BadQuery("too many filters", why=f"more than {MOST_FILTERS}")
    lists = {name: tuple(part for part in single.get(name, "").split(",") if part) for name in LISTS}
    for name, parts in lists.items():
        if name in single and not parts:
            raise BadQuery("a list is empty", where=name)
        if len(parts) > MOST_NAMES or any(len(part) > LONGEST_NAME for part in parts):
            raise TooLarge("a list is too long", where=name)
    span = Span.model_validate(
        {"column": single.get("time", ""), **{k: single[k] for k in ("from", "to") if k in single}}
    )
    return Ask(
        **lists,
        filters=tuple(filters),
        time=span if any(name in single for name in ("time", "from", "to")) else None,
        limit=_limit(single.get("limit", "")),
        cursor=single.get("cursor", ""),
        format=_format(single.get("format", "")),
    )


def from_body(body: bytes) -> tuple[str, Ask]:
    """The mart and the question of a body. Raises BadQuery with the place that does not fit.

    A name that the caller made up is no place: it could be anything.
    """
    try:
        found = Body.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        known = {*Body.model_fields, *Where.model_fields, "from", "to"}
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in known)
        why = {"json_invalid": "it is no JSON", "extra_forbidden": "it has a name that is not known"}
        raise BadQuery("the body does not fit", where=where, why=why.get(first["type"], first["type"])) from None
    return found.mart, Ask.model_construct(**{name: getattr(found, name) for name in Ask.model_fields})


def _longest(name: str) -> int:
    if name == "cursor":
        return LONGEST_CURSOR
    return LONGEST_VALUE * (MOST_VALUES if name in LISTS or name.endswith(".in") else 1)


def _where(name: str, value: str) -> Where:
    column, _, operator = name.partition(".")
    if max(len(column), len(operator)) > LONGEST_NAME:
        raise BadQuery("unknown column or parameter")
    if operator != "in":
        return Where(column=column, operator=operator or "eq", value=value)
    values = tuple(value.split(","))
    if len(values) > MOST_VALUES or max(map(len, values)) > LONGEST_VALUE:
        raise TooLarge("a list is too long", why=f"more than {MOST_VALUES} values")
    return Where(column=column, operator=operator, value=values)


def _limit(given: str) -> int | None:
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or len(given) > 9:
        raise BadQuery("limit does not fit", where="limit", why="it is no whole number")
    return int(given)


def _format(given: str) -> Format | None:
    match given:
        case "":
            return None
        case "json" | "csv" | "parquet" | "arrow":
            return given
    raise BadQuery("unknown format", where="format", fix="one of: arrow, csv, json, parquet")
