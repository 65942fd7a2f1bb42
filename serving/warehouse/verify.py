"""Invariants 3 and 6 for BI tools: the copy is what passed its gate, and tenants are kept apart.

Throw-away logins of tenants that published gold really holds read every mart. A positive control comes first: the owner
sees its rows, all of them, as the lake counts them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from caudal.lake import Lake
from caudal.proof import Check
from caudal.settings import Settings
from serving.warehouse import changes, logins, plan, reconcile, roles, tables
from serving.warehouse.app import connected
from serving.warehouse.errors import Unreconciled
from serving.warehouse.settings import WarehouseSettings
from serving.warehouse.shape import TENANT, Shape

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from psycopg import Connection
    from psycopg.sql import Composed

    Marts = Mapping[str, tuple[Shape, DeltaTable]]

# Tenants of each mart whose eyes are borrowed.
TENANTS = 2
# The invariants: tools see what passed its gate, and tenants are kept apart.
PROVED = {3: "reconciles", 6: "isolation"}
MOST_FINDINGS = 20


def checks(settings: Settings) -> list[Check]:
    """What `caudal verify` proves here; nothing to examine where no warehouse is set."""
    if not settings.section("serving.warehouse", WarehouseSettings).url.get_secret_value():
        return [Check(number, f"warehouse {name}", True, 0, "no warehouse is set") for number, name in PROVED.items()]
    return prove(settings)


def prove(settings: Settings) -> list[Check]:
    """Both proofs on what PostgreSQL shows now. Findings name marts, never tenants or values.

    Raises TransientError when a published version is no longer in the lake, or the server does not answer.
    """
    lake = Lake.open(settings)
    with connected(settings) as (link, section), connected(settings) as (second, _):
        with second.transaction():
            roles.prepare(second)
        with link.transaction():
            # a publish waits meanwhile, so that what is examined stays
            link.execute("LOCK TABLE caudal.published IN SHARE MODE")
            known = {mart: (one, Shape.of(one.shape)) for mart, one in plan.read(link).items()}
            opened = {
                m: changes.opened(lake, lake.table("gold", m), one.version).table for m, (one, _) in known.items()
            }
            marts = {mart: (shape, opened[mart]) for mart, (_, shape) in known.items()}
            whole = _whole(link, marts)
            with _visitor(second, section) as visitor:
                return [whole, _isolated(second, visitor, marts)]


def _whole(link: Connection, marts: Marts) -> Check:
    """Every mart holds what the lake holds."""
    found = []
    for mart, (shape, table) in marts.items():
        place = tables.place(mart, shape)
        try:
            reconcile.compare(mart, reconcile.in_lake(table, shape), reconcile.in_warehouse(link, place, shape))
        except Unreconciled as error:
            found.append(f"{mart}: {error.why}")
    return _check(3, found, len(marts), f"{len(marts)} marts")


def _isolated(link: Connection, visitor: Connection, marts: Marts) -> Check:
    """Tenants see their rows, as the lake counts them, no others and no masks; who is nobody sees nothing."""
    found: list[str] = []
    examined = 0
    for mart, (shape, table) in marts.items():
        if not shape.by_tenant:
            found += _refused(visitor, mart, tables.seen(mart), "shows rows that belong to no tenant")
            examined += 1
            continue
        for tenant in (*_tenants(table), f"nobody-{secrets.token_hex(6)}"):
            link.execute("UPDATE caudal.logins SET tenant = %s WHERE login = %s", [tenant, visitor.info.user])
            mine = reconcile.in_warehouse(visitor, tables.seen(mart), shape.seen())
            try:
                reconcile.compare(mart, reconcile.in_lake(table, shape.seen(), tenant), mine)
            except Unreconciled:
                found.append(f"{mart}: a login sees other rows than its tenant's")
            examined += 1
        if shape.masked:
            found += _refused(visitor, mart, tables.place(mart, shape), "shows masks to a login without the role")
            examined += 1
    return _check(6, found, examined, f"{len(marts)} marts, {TENANTS} tenants each")


@contextmanager
def _visitor(link: Connection, settings: WarehouseSettings) -> Iterator[Connection]:
    """The connection of a throw-away login, whose tenant can be changed under it."""
    import psycopg

    name = f"caudal_probe_{secrets.token_hex(6)}"
    password = logins.add(link, name, "nobody", masks=False, settings=settings)
    try:
        with psycopg.connect(settings.url.get_secret_value(), user=name, password=password, autocommit=True) as visitor:
            yield visitor
    finally:
        logins.remove(link, name)


def _refused(visitor: Connection, mart: str, place: Composed, finding: str) -> list[str]:
    from psycopg import errors, sql

    try:
        visitor.execute(sql.SQL("SELECT FROM {} LIMIT 1").format(place))
    except errors.InsufficientPrivilege:
        return []
    return [f"{mart}: {finding}"]


def _tenants(table: DeltaTable) -> list[str]:
    import pyarrow as pa
    from deltalake import QueryBuilder

    sql = (
        f'SELECT "{TENANT}" AS t FROM mart WHERE "{TENANT}" IS NOT NULL '
        f"GROUP BY t ORDER BY count(*) DESC, t LIMIT {TENANTS}"
    )
    answer = QueryBuilder().register("mart", table).execute(sql)
    found: list[str] = pa.RecordBatchReader.from_stream(answer).read_all()["t"].to_pylist()
    return found


def _check(invariant: int, findings: list[str], examined: int, detail: str) -> Check:
    return Check(
        invariant, f"warehouse {PROVED[invariant]}", not findings, examined, detail, tuple(findings[:MOST_FINDINGS])
    )
