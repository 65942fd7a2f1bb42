"""The floor under every query: a relation `mart` that holds one tenant's rows and nothing else.

The table is registered under a random name that no query can know, and `mart` is a view on it with the tenant's
predicate. Whatever a query says, it says it about that view, so a mistake above this module cannot cross tenants.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from caudal.errors import TransientError
from caudal.query import text
from serving.api.query import RELATION, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

TENANT = "tenant_id"


def select(table: DeltaTable, tenant: str | None, sql: str) -> pa.Table:
    """Run `sql` on the rows of `tenant`; None is all tenants, for operators.

    A table without a tenant column has no rows for a tenant. Raises TransientError when a file of the table is away.
    """
    import pyarrow as pa
    from deltalake import QueryBuilder

    hidden = f"t_{secrets.token_hex(16)}"
    builder = QueryBuilder().register(hidden, table)
    builder.execute(f"CREATE VIEW {RELATION} AS SELECT * FROM {hidden}{_predicate(table, tenant)}").read_all()
    try:
        return pa.table(builder.execute(sql).read_all())
    except Exception as error:
        # DataFusion's errors share one type; those of storage are told apart by their words only
        if "Object Store error" not in str(error):
            raise
        raise TransientError(
            "a file of a published table cannot be read",
            why=type(error).__name__,
            fix="see the runbook under CDL-GOLD-OPEN",
            code="CDL-GOLD-OPEN",
        ) from error


def _predicate(table: DeltaTable, tenant: str | None) -> str:
    if tenant is None:
        return ""
    if TENANT not in {field.name for field in table.schema().fields}:
        return " WHERE FALSE"
    return f" WHERE {quoted(TENANT)} = {text(tenant)}"
