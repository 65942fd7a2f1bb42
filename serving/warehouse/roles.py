"""Who may see what, as PostgreSQL enforces it.

Rows: every mart has row-level security, forced on its owner too. A login sees the rows of the tenant that
`caudal.logins` maps it to. The policy asks for `session_user`, the name that was authenticated, so neither SET ROLE nor
a view or function that runs as somebody else widens what is seen. Whoever is not mapped sees nothing.

Columns: masks lie in a schema of their own, which takes membership in a role; the mart's name in `gold` is a view
without them. There is no role per tenant: `pg_roles` is open to every login, and would tell tenants of each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.warehouse.errors import Unfit
from serving.warehouse.shape import TENANT, Shape

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

OLDEST = 150000
GOLD, MASKED = "gold", "gold_masks"
_LOCK = 0x0CAD_A1_601E
# A login's own row of the mapping, as a subquery: PostgreSQL asks it once per statement, and can use the key's index.
_MINE = "(SELECT {what} FROM caudal.logins WHERE login = session_user)"


@dataclass(frozen=True)
class Roles:
    """Names of a database's roles. They carry its name, since roles belong to the whole server."""

    reader: str
    operator: str
    masks: str

    @staticmethod
    def of(database: str) -> Roles:
        """The roles of a database."""
        return Roles(f"{database}_reader", f"{database}_operator", f"{database}_masks")

    def all(self) -> tuple[str, str, str]:
        return self.reader, self.operator, self.masks


def prepare(link: Connection) -> Roles:
    """Make roles, schemas and own tables where they are missing. Raises Unfit when the server or the login is not fit.

    All of it or nothing: to be called inside a transaction.
    """
    from psycopg import sql

    database, owner = _fit(link)
    roles = Roles.of(database)
    there = "SELECT to_regclass('caudal.freshness') IS NOT NULL"
    if link.execute(there).fetchone() == (True,):
        return roles
    # two that come first at the same moment: the second waits, and finds it done
    link.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    if link.execute(there).fetchone() == (True,):
        return roles
    known = {name for (name,) in link.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [[*roles.all()]])}
    for name in roles.all():
        if name not in known:
            link.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))
    names = {
        "database": sql.Identifier(database),
        "owner": sql.Identifier(owner),
        "owner_name": sql.Literal(owner),
        **{role: sql.Identifier(name) for role, name in vars(roles).items()},
    }
    for statement in _FIRST:
        link.execute(sql.SQL(statement).format(**names))
    return roles


def protect(roles: Roles, owner: str, schema: str, table: str, shape: Shape) -> list[Composed]:
    """The statements that say who reads a mart's table, and which rows of it."""
    from psycopg import sql

    names = {
        "table": sql.Identifier(schema, table),
        "owner": sql.Identifier(owner),
        "owner_name": sql.Literal(owner),
        "tenant": sql.Identifier(TENANT),
        "plain": sql.SQL(", ").join(sql.Identifier(name) for name in shape.plain),
        **{role: sql.Identifier(name) for role, name in vars(roles).items()},
    }
    said = [
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        # for the publisher's role alone: an OR in everybody's policy would keep the key's index from being used
        "CREATE POLICY publisher ON {table} TO {owner} USING ((SELECT session_user) = {owner_name})",
        f"CREATE POLICY operators ON {{table}} FOR SELECT TO {{operator}} USING ({_MINE.format(what='is_operator')})",
    ]
    if shape.by_tenant:
        said.append(f"CREATE POLICY tenants ON {{table}} FOR SELECT USING ({{tenant}} = {_MINE.format(what='tenant')})")
    # a mart without tenants is not even listed to them
    seen_by = "{reader}, {operator}" if shape.by_tenant else "{operator}"
    if shape.masked:
        said += [f"GRANT SELECT ({{plain}}) ON {{table}} TO {seen_by}", "GRANT SELECT ON {table} TO {masks}"]
    else:
        said.append(f"GRANT SELECT ON {{table}} TO {seen_by}")
    return [sql.SQL(statement).format(**names) for statement in said]


def _fit(link: Connection) -> tuple[str, str]:
    """Database and login of the publisher."""
    if link.info.server_version < OLDEST:
        raise Unfit(
            "this PostgreSQL is too old",
            why=f"it is {link.info.server_version // 10000}",
            fix="take PostgreSQL 15 or newer",
        )
    found = link.execute(
        "SELECT current_database(), session_user, rolsuper OR rolbypassrls, rolcreaterole, "
        "pg_catalog.pg_get_userbyid(datdba) = session_user "
        "FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()"
    ).fetchone()
    assert found is not None, "a session has a login and a database"
    database, owner, above, creates, owns = found
    if above or not creates or not owns:
        raise Unfit(
            "the publisher's login does not fit",
            why="it is above row-level security" if above else "it must own the database and be allowed to make roles",
            fix="make one of its own: docs/warehouse.md, First steps",
        )
    return str(database), str(owner)


_FIRST = (
    "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
    "GRANT CONNECT ON DATABASE {database} TO {reader}, {operator}",
    "CREATE SCHEMA IF NOT EXISTS caudal",
    "CREATE SCHEMA IF NOT EXISTS gold",
    "CREATE SCHEMA IF NOT EXISTS gold_masks",
    "GRANT USAGE ON SCHEMA caudal, gold TO {reader}, {operator}",
    "GRANT USAGE ON SCHEMA gold_masks TO {masks}",
    """
    CREATE TABLE caudal.logins (
        login name PRIMARY KEY,
        tenant text,
        is_operator boolean NOT NULL,
        sees_masks boolean NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now(),
        CHECK (is_operator = (tenant IS NULL))
    )
    """,
    "ALTER TABLE caudal.logins ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
    "CREATE POLICY publisher ON caudal.logins TO {owner} USING ((SELECT session_user) = {owner_name})",
    "CREATE POLICY own ON caudal.logins FOR SELECT USING (login = session_user)",
    "GRANT SELECT ON caudal.logins TO {reader}, {operator}",
    """
    CREATE TABLE caudal.published (
        mart text PRIMARY KEY,
        publish_group text NOT NULL,
        cycle text NOT NULL,
        version bigint NOT NULL,
        published_at timestamptz NOT NULL,
        copied_at timestamptz NOT NULL,
        manifest bigint NOT NULL,
        table_id text NOT NULL,
        rows bigint NOT NULL,
        shape jsonb NOT NULL
    )
    """,
    # rows count all tenants, so they are for operators
    "GRANT SELECT (mart, publish_group, cycle, version, published_at, copied_at) ON caudal.published TO {reader}",
    "GRANT SELECT ON caudal.published TO {operator}",
    """
    CREATE VIEW caudal.freshness WITH (security_invoker) AS
    SELECT mart, publish_group, version, published_at, now() - published_at AS age FROM caudal.published
    """,
    "GRANT SELECT ON caudal.freshness TO {reader}, {operator}",
)
