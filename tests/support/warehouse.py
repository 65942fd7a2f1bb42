"""A PostgreSQL for tests, gold that its warehouse follows, and eyes of a BI login."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from psycopg import sql
from pydantic import SecretStr

from caudal.lake import Lake
from caudal.local import postgres
from caudal.local.child import Running
from caudal.local.ports import Ports, any_free
from caudal.settings import Settings
from schemas.manifest import Group, TableVersion, publish
from serving.warehouse.plan import Declared

Login = Callable[..., psycopg.Connection]
"""Makes a login of a tenant (None: an operator), `masks` or not, and connects as it."""
MONEY = pa.decimal128(18, 2)
ORDERS = pa.schema(
    [
        ("tenant_id", pa.string()), ("order_id", pa.string()), ("region", pa.string()), ("total", MONEY),
        ("items", pa.int64()), ("weight", pa.float64()), ("at", pa.timestamp("us", "UTC")),
    ]
)  # fmt: skip
CUSTOMERS = pa.schema([("tenant_id", pa.string()), ("customer_id", pa.string()), ("customer_email", pa.string())])
HEALTH = pa.schema([("contract", pa.string()), ("rows", pa.int64())])
DECLARED = {
    one.name: one
    for one in (
        Declared("fct_orders", ("tenant_id", "order_id", "region"), description="Orders"),
        Declared("dim_customers", ("tenant_id", "customer_id"), frozenset({"customer_email"}), "Customers"),
        Declared("ops_health", ("contract",), description="For operators"),
    )
}


@contextmanager
def server() -> Iterator[str]:
    """The address of a fresh PostgreSQL, as its administrator. Raises StartError where none is installed."""
    # not below pytest's folder, which only its own user may enter: as root the server runs as another
    folder, ports = Path(tempfile.mkdtemp(prefix="caudal-pg-")), Ports()
    folder.chmod(0o755)
    try:
        child = postgres.child(folder / "data", any_free(ports)[0])
        running = Running(child, folder / "log")
        try:
            running.wait_ready()
            child.after()
            url = str(child.gives["serving.warehouse.url"])
            passwords = postgres.passwords(folder / "data")
            yield url.replace(passwords.publisher, passwords.admin).replace(postgres.PUBLISHER, postgres.ADMIN)
        finally:
            running.stop()
    finally:
        ports.release()
        shutil.rmtree(folder, ignore_errors=True)


def database(admin: str, name: str) -> str:
    """A new database with a publisher of its own; returns the publisher's address."""
    publisher = f"{name}_publisher"
    with psycopg.connect(admin, autocommit=True) as link:
        role, base = sql.Identifier(publisher), sql.Identifier(name)
        link.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD 'secret'").format(role))
        link.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(base, role))
    return psycopg.conninfo.make_conninfo(admin, user=publisher, password="secret", dbname=name)


def settings(data: Path, url: str, **more: Any) -> Settings:
    """Settings of an install with that warehouse."""
    return Settings.model_validate(
        {"data_dir": data, "serving": {"warehouse": {"url": SecretStr(url), "lock_timeout_s": 1, **more}}}
    )


class Gold:
    """Published gold that a test changes version by version."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._cycle = 0

    def write(self, mart: str, schema: pa.Schema, records: Sequence[Mapping[str, Any]], mode: Any = "append") -> None:
        """Add rows to a mart, or replace them, without publishing."""
        rows = pa.Table.from_pylist([dict(r) for r in records], schema=schema)
        options = self.lake.storage_options or None
        evolved = "overwrite" if mode == "overwrite" else None
        write_deltalake(self.lake.table("gold", mart), rows, mode=mode, schema_mode=evolved, storage_options=options)

    def table(self, mart: str) -> DeltaTable:
        return DeltaTable(self.lake.table("gold", mart), storage_options=self.lake.storage_options or None)

    def publish(self, *marts: str, group: str = "live") -> int:
        """Publish the newest versions of these marts as a group; returns the manifest's number."""
        self._cycle += 1
        tables = {}
        for mart in marts:
            table = self.table(mart)
            tables[mart] = TableVersion(f"gold/{mart}", str(table.metadata().id), table.version(), table.count())
        return publish(self.lake, group, Group(f"c{self._cycle}", int(time.time() * 1000), {}, tables)).number


def order(tenant: str, number: int, total: str = "1.10", **more: Any) -> dict[str, Any]:
    """A row of `fct_orders`."""
    return {
        "tenant_id": tenant,
        "order_id": str(number),
        "total": Decimal(total),
        "items": number,
        "weight": 0.1,
        **more,
    }


def rows(link: psycopg.Connection, query: str) -> list[tuple[Any, ...]]:
    """All rows of a query that has few, in order."""
    return sorted(link.execute(query).fetchall(), key=repr)
