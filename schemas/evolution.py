"""Columns that a silver table needs for a newer version of its contract. Nothing is ever widened, renamed or dropped.

new field                        ADD COLUMN, null in older rows
new field in a nested record     ADD COLUMN of the nested field
int to long, float to double     nothing: columns are BIGINT and DOUBLE from the start
any other change of type         a new column `<field>__v<N>`; the old one stays, with the older rows' values
renamed field                    a new column; the old one stays
dropped field                    nothing; the column stays, null in newer rows
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from schemas import sparktype, tables
from schemas.contract import Contract
from schemas.errors import ContractError
from schemas.sparktype import Array, Map, SparkType, Struct


@dataclass(frozen=True)
class AddColumn:
    """One column to add. `name` is dotted for a field inside a struct (`line_items.element.tax`)."""

    name: str
    type: str

    @property
    def ddl(self) -> str:
        """As `ALTER TABLE … ADD COLUMNS (…)` wants it."""
        return ".".join(f"`{part}`" for part in self.name.split(".")) + f" {self.type}"


def plan(
    columns_now: Mapping[str, str], contract: Contract, wanted: Sequence[tables.Column] | None = None
) -> list[AddColumn]:
    """What to add to a table that has `columns_now` (name to Spark type) so that it holds every version's rows.

    `wanted` are the table's columns: silver's when it is None.

    An empty list when the table is as the contract says. Raises ContractError when a column is there with a type that
    the contract cannot have given it.
    """
    now = {name.lower(): kind for name, kind in columns_now.items()}
    added: list[AddColumn] = []
    for column in tables.silver_columns(contract) if wanted is None else wanted:
        there = now.get(column.name.lower())
        if there is None:
            added.append(AddColumn(column.name, column.spark_type))
            continue
        have, want = sparktype.parse(there), sparktype.parse(column.spark_type)
        if have != want and sparktype.merge(have, want) is None:
            raise ContractError(
                "TABLE",
                f"column `{column.name}` of silver.{contract.table} is {there} and should be {column.spark_type}",
                why="the table was not made from this contract",
                fix="move the table away and rebuild it from raw",
            )
        added += _nested(column.name, have, want)
    return added


def _nested(name: str, have: SparkType, want: SparkType) -> Iterator[AddColumn]:
    if isinstance(have, Array) and isinstance(want, Array):
        yield from _nested(f"{name}.element", have.item, want.item)
    elif isinstance(have, Map) and isinstance(want, Map):
        yield from _nested(f"{name}.value", have.value, want.value)
    elif isinstance(have, Struct) and isinstance(want, Struct):
        fields = dict(have.fields)
        for field, kind in want.fields:
            if field in fields:
                yield from _nested(f"{name}.{field}", fields[field], kind)
            else:
                yield AddColumn(f"{name}.{field}", kind.sql())
