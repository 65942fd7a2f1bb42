"""Two counts of the same mart, made by two engines that share nothing: rows, values of each column, sums of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from caudal.query import text
from serving.warehouse.errors import Unreconciled
from serving.warehouse.shape import TENANT, Column, Shape

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from psycopg import Connection
    from psycopg.sql import Composable, Composed

Totals = Mapping[str, int | float | Decimal | None]
# Sums of floating point numbers depend on their order: relative, far above that and far below a missing row.
NEAR = 1e-9


def in_lake(table: DeltaTable, shape: Shape, tenant: str | None = None) -> Totals:
    """Totals of a Delta table's version, by DataFusion, which reads it by another road than the copy did.

    With a tenant: of its rows.
    """
    import pyarrow as pa
    from deltalake import QueryBuilder

    parts = ["count(*) AS n"]
    for at, column in enumerate(shape.columns):
        name = '"' + column.name.replace('"', '""') + '"'
        parts.append(f"count({name}) AS c{at}")
        if column.exact or column.rounded:
            parts.append(f"sum({_wide(column, name)}) AS s{at}")
    where = f' WHERE "{TENANT}" = {text(tenant)}' if tenant is not None else ""
    answer = QueryBuilder().register("mart", table).execute(f"SELECT {', '.join(parts)} FROM mart{where}")
    [row] = pa.RecordBatchReader.from_stream(answer).read_all().to_pylist()
    return _named(row, shape)


def in_warehouse(link: Connection, place: Composed, shape: Shape) -> Totals:
    """Totals of a table in PostgreSQL, as far as this session may see it and its columns in `shape`."""
    from psycopg import sql

    parts: list[Composable] = [sql.SQL("count(*) AS n")]
    for at, column in enumerate(shape.columns):
        name = sql.Identifier(column.name)
        parts.append(sql.SQL("count({}) AS {}").format(name, sql.Identifier(f"c{at}")))
        if column.exact or column.rounded:
            # a sum of single precision would be one, too
            wide = "sum({}::double precision) AS {}" if column.rounded else "sum({}) AS {}"
            parts.append(sql.SQL(wide).format(name, sql.Identifier(f"s{at}")))
    cursor = link.execute(sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(parts), place))
    row = cursor.fetchone()
    assert row is not None, "an aggregate has one row"
    names = [column.name for column in cursor.description or ()]
    return _named(dict(zip(names, row, strict=True)), shape)


def compare(mart: str, lake: Totals, copy: Totals) -> None:
    """Raises Unreconciled naming the totals that differ, never their values."""
    wrong = [name for name, value in lake.items() if not _equal(value, copy[name])]
    if wrong:
        raise Unreconciled(mart, why=f"different: {', '.join(wrong[:10])}")


def _wide(column: Column, name: str) -> str:
    """A number wide enough for any sum: DataFusion's own sums of 64-bit integers wrap around."""
    if column.type.startswith("numeric"):
        return name
    return f"CAST({name} AS {'DECIMAL(38, 0)' if column.exact else 'DOUBLE'})"


def _named(row: Mapping[str, int | float | Decimal | None], shape: Shape) -> Totals:
    found = {"rows": row["n"]}
    for at, column in enumerate(shape.columns):
        found[f"values of {column.name}"] = row[f"c{at}"]
        if column.exact or column.rounded:
            found[f"sum of {column.name}"] = row[f"s{at}"]
    return found


def _equal(one: int | float | Decimal | None, other: int | float | Decimal | None) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=NEAR, abs_tol=NEAR) or (math.isnan(one) and math.isnan(other))
    return one == other
