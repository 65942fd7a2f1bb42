"""A mart's table in PostgreSQL: made beside the old one, put in its place, or dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.warehouse.roles import GOLD, MASKED, Roles, protect
from serving.warehouse.shape import TENANT, Shape

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

# Marts are named by dbt and never begin with a capital, so no mart meets the table of another that is being made.
_FRESH = "New {}"


def home(masked: bool) -> str:
    """The schema in which a mart's table lies."""
    return MASKED if masked else GOLD


def create(link: Connection, mart: str, shape: Shape) -> Composed:
    """An empty table for a new copy, which nobody may read yet; returns its name."""
    from psycopg import sql

    name = sql.Identifier(home(shape.masked), _FRESH.format(mart))
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(c.type)) for c in shape.columns
    )
    link.execute(sql.SQL("CREATE TABLE {} ({})").format(name, columns))
    return sql.SQL("{}").format(name)


def finish(link: Connection, mart: str, shape: Shape, description: str, roles: Roles) -> None:
    """Give a filled new table its key, its statistics, its words and its readers."""
    from psycopg import sql

    schema, fresh = home(shape.masked), _FRESH.format(mart)
    name = sql.Identifier(schema, fresh)
    # the tenant first: every query of a tenant begins there
    order = sorted(shape.key, key=lambda column: column != TENANT)
    if order:
        listed = sql.SQL(", ").join(map(sql.Identifier, order))
        link.execute(sql.SQL("CREATE UNIQUE INDEX ON {} ({}) NULLS NOT DISTINCT").format(name, listed))
    elif shape.by_tenant:
        link.execute(sql.SQL("CREATE INDEX ON {} ({})").format(name, sql.Identifier(TENANT)))
    link.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(name, sql.Literal(description)))
    for statement in protect(roles, str(_user(link)), schema, fresh, shape):
        link.execute(statement)
    link.execute(sql.SQL("ANALYZE {}").format(name))


def swap(link: Connection, mart: str, shape: Shape, roles: Roles, was_masked: bool | None) -> None:
    """Put a finished new table in the place of the old one. `was_masked`: of the old one; None when there is none."""
    from psycopg import sql

    if was_masked is not None:
        drop(link, mart, was_masked)
    schema = home(shape.masked)
    fresh = sql.Identifier(schema, _FRESH.format(mart))
    link.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(fresh, sql.Identifier(mart)))
    if shape.masked:
        link.execute(
            sql.SQL("CREATE VIEW {} WITH (security_invoker) AS SELECT {} FROM {}").format(
                sql.Identifier(GOLD, mart),
                sql.SQL(", ").join(map(sql.Identifier, shape.plain)),
                sql.Identifier(MASKED, mart),
            )
        )
        readers = [roles.reader, roles.operator] if shape.by_tenant else [roles.operator]
        link.execute(
            sql.SQL("GRANT SELECT ON {} TO {}").format(
                sql.Identifier(GOLD, mart), sql.SQL(", ").join(map(sql.Identifier, readers))
            )
        )


def drop(link: Connection, mart: str, masked: bool) -> None:
    """Drop a mart. What others have made of it keeps it from going: that is an error, not a loss."""
    from psycopg import sql

    if masked:
        link.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(GOLD, mart)))
    link.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(home(masked), mart)))


def place(mart: str, shape: Shape, *, fresh: bool = False) -> Composed:
    """Where a mart's rows are written."""
    from psycopg import sql

    return sql.SQL("{}").format(sql.Identifier(home(shape.masked), _FRESH.format(mart) if fresh else mart))


def seen(mart: str) -> Composed:
    """Where every login finds a mart."""
    from psycopg import sql

    return sql.SQL("{}").format(sql.Identifier(GOLD, mart))


def _user(link: Connection) -> object:
    found = link.execute("SELECT session_user").fetchone()
    assert found is not None
    return found[0]
