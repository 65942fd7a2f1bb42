"""Logins of BI tools: who they are for, made with a password that is shown once and stored by nobody."""

from __future__ import annotations

import re
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from serving.warehouse import roles
from serving.warehouse.errors import BadLogin
from serving.warehouse.settings import WarehouseSettings

if TYPE_CHECKING:
    from psycopg import Connection

# Unquoted in every tool; PostgreSQL cuts longer names off.
NAME = re.compile(r"[a-z][a-z0-9_]{2,62}")


@dataclass(frozen=True)
class Login:
    """A login: of one tenant, or of an operator (tenant None), who sees all tenants."""

    name: str
    tenant: str | None
    masks: bool
    added_at: datetime

    def record(self) -> dict[str, object]:
        """JSON-ready."""
        return {**asdict(self), "added_at": self.added_at.isoformat(timespec="seconds")}


def add(link: Connection, name: str, tenant: str | None, *, masks: bool, settings: WarehouseSettings) -> str:
    """Make a login and return its password. `tenant` None is an operator; `masks` lets it see masked columns.

    Raises BadLogin when the name does not fit or is taken, by whomever.
    """
    from psycopg import errors, sql

    if not NAME.fullmatch(name) or name.startswith("pg_"):
        raise BadLogin(
            "a login's name does not fit", fix="3 to 63 small letters, digits and underscores, a letter first"
        )
    password = secrets.token_urlsafe(24)
    # hashed here, so that no log of the server can have it
    verifier = link.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    login = sql.Identifier(name)
    with link.transaction():
        granted = roles.prepare(link)
        try:
            with link.transaction():
                link.execute(
                    sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} CONNECTION LIMIT {}").format(
                        login, sql.Literal(verifier), sql.Literal(settings.login_connections)
                    )
                )
        except errors.DuplicateObject:
            raise BadLogin("a role of that name exists", fix="choose another name") from None
        for setting, value in (
            ("statement_timeout", f"{settings.login_timeout_s}s"),
            # a tool that forgets its transaction would hold locks, and old rows, for ever
            ("idle_in_transaction_session_timeout", "10min"),
            ("default_transaction_read_only", "on"),
            ("search_path", roles.GOLD),
        ):
            link.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(login, sql.Identifier(setting), sql.Literal(value))
            )
        given = [granted.operator if tenant is None else granted.reader, *([granted.masks] if masks else [])]
        link.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(", ").join(map(sql.Identifier, given)), login))
        link.execute(
            "INSERT INTO caudal.logins (login, tenant, is_operator, sees_masks) VALUES (%s, %s, %s, %s)",
            [name, tenant, tenant is None, masks],
        )
    return password


def listed(link: Connection) -> list[Login]:
    """All logins that were made here, by name."""
    with link.transaction():
        roles.prepare(link)
        rows = link.execute("SELECT login, tenant, sees_masks, added_at FROM caudal.logins ORDER BY login").fetchall()
    return [Login(*row) for row in rows]


def remove(link: Connection, name: str) -> None:
    """End a login. Its open sessions see no row from their next statement on.

    Raises BadLogin when no login of that name was made here.
    """
    from psycopg import sql

    login = sql.Identifier(name)
    with link.transaction():
        roles.prepare(link)
        found = link.execute("DELETE FROM caudal.logins WHERE login = %s", [name])
        if not found.rowcount:
            raise BadLogin("no login of that name was made here", fix="caudal warehouse login list")
        is_there = link.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is not None
        if is_there:
            link.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(login))
    # on its own, since what somebody else gave to the role keeps it from going, but not its rights from ending
    if is_there:
        link.execute(sql.SQL("DROP ROLE {}").format(login))
