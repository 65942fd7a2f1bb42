"""Fixes of dead letters: a small closed set of changes by path, written as YAML, made on decoded records by Spark.

    - set: currency        # this value, whatever the record says
      value: BRL
    - default: region      # this value where the record has none
      value: SP
    - drop: coupon         # no value
    - rename: total        # a field of the writer that the contract calls otherwise
      to: amount
    - cast: amount         # the writer's other type, as far as its value can be read as the contract's

A fix names fields of the contract, `a.b` for a field of a nested record. Personal fields are sealed and no business of
streaming; fields that say which event or row a record is cannot be changed, or a replay could make a second one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from schemas.contract import Contract
from streaming.errors import BadFix

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

Action = Literal["set", "default", "drop", "rename", "cast"]
Scalar = str | int | float | bool
_VALUED, _ALLOWED = ("set", "default"), {"set": "value", "default": "value", "rename": "to"}


@dataclass(frozen=True)
class Fix:
    """One change. `value` belongs to set and default, `to` to rename."""

    action: Action
    path: str
    value: Scalar | None = None
    to: str | None = None

    @property
    def target(self) -> str:
        """The contract's field that the fix changes."""
        return self.to if self.to is not None else self.path

    def plain(self) -> dict[str, Any]:
        """As `parsed` reads it."""
        more = {"value": self.value} if self.action in _VALUED else {"to": self.to} if self.to else {}
        return {self.action: self.path, **more}


def parsed(document: object) -> tuple[Fix, ...]:
    """The fixes of a document (a list of mappings). Raises BadFix with the number of the entry at fault."""
    if not isinstance(document, list):
        raise BadFix("fixes are a list", why="each entry is one of set, default, drop, rename, cast")
    return tuple(_fix(number, entry) for number, entry in enumerate(document, 1))


def check(fixes: Iterable[Fix], contract: Contract) -> None:
    """Raise BadFix for one that touches what no fix may touch, or a field that the contract does not have."""
    fields = {item["name"] for item in contract.latest.avsc["fields"]}
    personal = {item.name for item in contract.pii_fields}
    identity = {contract.event_id, contract.tenant, *contract.key, *contract.sequence}
    for fix in fixes:
        name = fix.target.partition(".")[0]
        if name in personal:
            raise BadFix(
                f"`{name}` is a personal field of {contract.id}",
                why="it is sealed; streaming holds no key that opens it",
                fix="let its producer send the event again",
            )
        if name in identity:
            raise BadFix(
                f"`{name}` says which event or row a record of {contract.id} is",
                why="with another value it would be another one",
                fix="let its producer send the event again",
            )
        if name not in fields:
            raise BadFix(f"{contract.id} has no field `{name}`", fix=f"see: caudal contract show {contract.id}")


def conformed(record: Column, have: StructType, want: StructType, fixes: Sequence[Fix]) -> Column:
    """A writer's record as the contract's: fields by name, renamed and cast ones as the fixes say, the rest null."""
    from pyspark.sql import functions as F

    from streaming.fit import fit

    renamed = {fix.to: fix.path for fix in fixes if fix.action == "rename"}
    cast = {fix.path for fix in fixes if fix.action == "cast"}
    parts = []
    for field in want.fields:
        source = renamed.get(field.name, field.name)
        if source not in have.names:
            value = F.lit(None).cast(field.dataType)
        elif _plain(have[source].dataType) == _plain(field.dataType):
            value = fit(record[source], have[source].dataType, field.dataType)
        elif field.name in cast or source in cast:
            value = record[source].try_cast(field.dataType)
        else:
            value = F.lit(None).cast(field.dataType)
        parts.append(value.alias(field.name))
    return F.when(record.isNotNull(), F.struct(*parts))


def applied(session: SparkSession, rows: DataFrame, record: StructType, fix: Fix) -> DataFrame:
    """Rows whose `_decoded` {record, sentinel} is changed by a set, default or drop, or a rename between own fields."""
    from pyspark.sql import functions as F

    if fix.action == "cast" or (fix.action == "rename" and fix.path not in record.names):
        return rows
    kind, now = _type(record, fix.target), _reach(F.col("_decoded.record"), fix.target)
    match fix.action:
        case "set":
            value = _literal(session, fix, kind)
        case "default":
            value = F.coalesce(now, _literal(session, fix, kind))
        case "drop":
            value = F.lit(None).cast(kind)
        case _:
            value = F.coalesce(now, _reach(F.col("_decoded.record"), fix.path).try_cast(kind))
    return rows.withColumn("_decoded", F.col("_decoded").withField(f"record.{fix.target}", value))


def _fix(number: int, entry: object) -> Fix:
    found = [name for name in get_args(Action) if isinstance(entry, Mapping) and name in entry]
    if not isinstance(entry, Mapping) or len(found) != 1:
        raise BadFix("an entry is one of set, default, drop, rename, cast", where=f"entry {number}")
    [action] = found
    extra = _ALLOWED.get(action)
    if set(entry) != {action, *([extra] if extra else [])}:
        wanted = f"`{action}` and `{extra}`" if extra else f"`{action}` alone"
        raise BadFix(f"this entry consists of {wanted}", where=f"entry {number}")
    path, value, to = entry[action], entry.get("value"), entry.get("to")
    if not isinstance(path, str) or not path or (action == "rename" and not (isinstance(to, str) and to)):
        raise BadFix("a path is a name, or names with dots between", where=f"entry {number}")
    if action in _VALUED and not isinstance(value, Scalar):
        raise BadFix("a value is a text, a number or true or false", where=f"entry {number}", fix="use drop for none")
    return Fix(action, path, value, to)


def _reach(record: Column, path: str) -> Column:
    for name in path.split("."):
        record = record[name]
    return record


def _type(record: StructType, path: str) -> DataType:
    from pyspark.sql.types import StructType

    kind: DataType = record
    for name in path.split("."):
        if not isinstance(kind, StructType) or name not in kind.names:
            raise BadFix(f"there is no field `{path}`", why=f"`{name}` is not reached through records alone")
        kind = kind[name].dataType
    return kind


def _literal(session: SparkSession, fix: Fix, kind: DataType) -> Column:
    from pyspark.sql import functions as F

    text = str(fix.value).lower() if isinstance(fix.value, bool) else str(fix.value)
    value = F.lit(text).try_cast(kind)
    if session.range(1).select(value.isNull()).first()[0]:
        raise BadFix(f"the value for `{fix.path}` is no {kind.simpleString()}", fix="write it as the contract's type")
    return value


def _plain(kind: DataType) -> str:
    found: str = kind.simpleString()
    return found
