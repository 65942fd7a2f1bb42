"""Rows into PostgreSQL, by COPY only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from serving.warehouse.changes import Difference
from serving.warehouse.lines import lines, payload
from serving.warehouse.shape import Shape

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection
    from psycopg.sql import Composed


def fill(link: Connection, table: Composed, batches: Iterable[pa.RecordBatch]) -> int:
    """COPY batches of rows into a table that has no row-level security yet; returns how many."""
    from psycopg import sql

    rows = 0
    with link.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(table)) as copy:
        for batch in batches:
            copy.write(payload(lines(batch)))
            rows += batch.num_rows
    return rows


def apply(link: Connection, table: Composed, shape: Shape, difference: Difference) -> None:
    """Take out the rows whose keys go, then put in the rows that come.

    Both pass through tables of this transaction alone: COPY refuses a table with row-level security.
    """
    from psycopg import sql

    if len(difference.gone):
        _staged(link, "going", table, shape.key, difference.gone)
        same = sql.SQL(" AND ").join(
            # a comparison of nulls cannot use an index, so it is made only where there are any
            sql.SQL("m.{0} IS NOT DISTINCT FROM g.{0}" if name in difference.null_keys else "m.{0} = g.{0}").format(
                sql.Identifier(name)
            )
            for name in shape.key
        )
        link.execute(sql.SQL("DELETE FROM {} m USING pg_temp.going g WHERE {}").format(table, same))
        link.execute("DROP TABLE pg_temp.going")
    if len(difference.came):
        _staged(link, "coming", table, shape.names, difference.came)
        link.execute(sql.SQL("INSERT INTO {} SELECT * FROM pg_temp.coming").format(table))
        link.execute("DROP TABLE pg_temp.coming")


def _staged(link: Connection, name: str, table: Composed, columns: Iterable[str], found: pa.Array) -> None:
    from psycopg import sql

    staged, listed = sql.Identifier("pg_temp", name), sql.SQL(", ").join(map(sql.Identifier, columns))
    link.execute(
        sql.SQL("CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT {} FROM {} WITH NO DATA").format(
            sql.Identifier(name), listed, table
        )
    )
    with link.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(staged)) as copy:
        copy.write(payload(found))
    # without statistics a join with a large mart may be planned as one over all pairs
    link.execute(sql.SQL("ANALYZE {}").format(staged))
