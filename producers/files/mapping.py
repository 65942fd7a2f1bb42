"""The YAML file that turns rows into events.

    contract: commerce.order
    from: /data/orders            # a folder, or s3://bucket/prefix
    files: "*.csv"                # names to take, in order of name
    format: csv                   # or jsonl
    name: legacy-orders           # the cursor is kept under it
    tenant: loja-1                # for rows that cannot be read at all
    observed: updated_at          # field that tells when the row was true (a historical replay); default: now
    fields:
      order_id: id                                        # a column as it is
      shop_id: {value: loja-1}                            # a constant
      event_id: {hash: [id, changed]}                     # identity from columns
      total: {from: price, type: decimal}                 # types: text, int, decimal, float, boolean, time
      updated_at: {from: changed, type: time, format: "%Y-%m-%d %H:%M:%S", zone: America/Sao_Paulo}
      line_items: {value: []}

Empty text counts as missing. A dot in a column name goes into nested JSON (`customer.email`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from producers.files.errors import MappingError, RowError

Row = Mapping[str, Any]


class FieldMapping(BaseModel):
    """Where one field of the event comes from: exactly one of `from`, `value`, `hash`."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    column: str | None = Field(default=None, alias="from")
    value: Any = None
    hash: tuple[str, ...] = ()
    type: Literal["text", "int", "decimal", "float", "boolean", "time"] = "text"
    format: str | None = None
    zone: str = "UTC"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, raw: Any) -> Any:
        return {"from": raw} if isinstance(raw, str) else raw

    @model_validator(mode="after")
    def _one_source(self) -> FieldMapping:
        if (self.column is not None) + bool(self.hash) + ("value" in self.model_fields_set) != 1:
            raise ValueError("one of from, value, hash is needed")
        try:
            ZoneInfo(self.zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("no such time zone") from None
        return self


class FileMapping(BaseModel):
    """The whole file."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    contract: str
    folder: str = Field(alias="from")
    files: str = "*"
    format: Literal["csv", "jsonl"]
    name: str = Field(min_length=1)
    tenant: str = ""
    observed: str | None = None
    delimiter: str = ","
    fields: dict[str, FieldMapping]


def load(path: Path) -> FileMapping:
    """Read a mapping. Raises MappingError with the place in the file."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        return FileMapping.model_validate(raw)
    except (OSError, yaml.YAMLError) as error:
        raise MappingError("the mapping cannot be read", where=str(path), why=type(error).__name__) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise MappingError("the mapping does not fit", where=f"{path}: {place}", why=first["msg"]) from None


def compile_mapping(mapping: FileMapping) -> Callable[[Row], dict[str, object]]:
    """A function from row to event; it raises RowError naming the column."""
    readers = {name: _reader(field) for name, field in mapping.fields.items()}

    def event(row: Row) -> dict[str, object]:
        return {name: read(row) for name, read in readers.items()}

    return event


def _reader(field: FieldMapping) -> Callable[[Row], object]:
    if field.hash:
        return lambda row: _identity([str(_find(row, column)) for column in field.hash])
    if field.column is None:
        return lambda row: field.value
    column, convert = field.column, _CONVERT[field.type]

    def read(row: Row) -> object:
        value = _find(row, column)
        if value is None or value == "":
            return None
        try:
            return convert(value, field)
        except (ValueError, TypeError, InvalidOperation):
            raise RowError(column, f"{field.type} is needed") from None

    return read


def _find(row: Row, column: str) -> Any:
    if column in row:
        return row[column]
    node: Any = row
    for part in column.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node


def _identity(parts: list[str]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def _text(value: Any, field: FieldMapping) -> object:
    # JSON lines may hold lists and objects: those go on as they are, the contract judges them.
    return value if isinstance(value, list | dict) else str(value)


def _int(value: Any, field: FieldMapping) -> int:
    if isinstance(value, bool):
        raise ValueError("a whole number is needed")
    number = Decimal(str(value))
    if number != int(number):
        raise ValueError("a whole number is needed")
    return int(number)


def _boolean(value: Any, field: FieldMapping) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    text = str(value).strip().lower()
    if text not in known:
        raise ValueError("true or false is needed")
    return known[text]


def _time(value: Any, field: FieldMapping) -> int:
    """Epoch milliseconds, from a format, from ISO text, or from a number that already is that."""
    if field.format is None and isinstance(value, int) and not isinstance(value, bool):
        return value
    moment = datetime.strptime(value, field.format) if field.format else datetime.fromisoformat(value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=ZoneInfo(field.zone))
    return round(moment.astimezone(UTC).timestamp() * 1000)


_CONVERT: dict[str, Callable[[Any, FieldMapping], object]] = {
    "text": _text,
    "int": _int,
    "decimal": lambda value, _: Decimal(str(value)),
    "float": lambda value, _: float(value),
    "boolean": _boolean,
    "time": _time,
}
