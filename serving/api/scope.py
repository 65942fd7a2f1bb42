"""The floor under every query: a relation `mart` that holds one tenant's rows and nothing else.

The table is registered under a random name that no query can know, and `mart` is what the tenant's predicate leaves
of it. Whatever a query says, it says it about that, so a mistake above this module cannot cross tenants.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from caudal.errors import CaudalError, TransientError
from caudal.query import text
from serving.api.errors import TooLarge
from serving.api.query import RELATION, TENANT, quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder

# Many small queries at once: one thread each costs a third less CPU than splitting each over the cores.
SESSION = {"datafusion.execution.target_partitions": "1"}


class Relation:
    """One table at one version, opened once and asked from any thread."""

    def __init__(self, table: DeltaTable) -> None:
        self.fields: list[dict[str, Any]] = json.loads(table.schema().to_json())["fields"]
        self.names = frozenset(str(field["name"]) for field in self.fields)
        self._table = table
        self._hidden = _name()
        self._session = _session().register(self._hidden, table)

    def select(self, tenant: str | None, sql: str, most_bytes: int | None = None) -> pa.Table:
        """Run `sql`, which names `mart` only, on the rows of `tenant`; None is all tenants, for operators.

        A table without a tenant column has no rows for a tenant. Raises TransientError when a file of the table is
        away, TooLarge when the answer has more than `most_bytes`.
        """
        return _read(self._session, f"WITH {RELATION} AS ({self._rows(self._hidden, tenant)}) {sql}", most_bytes)

    def since(self, old: Relation, tenant: str, columns: Sequence[str], most: int) -> tuple[pa.Table, pa.Table]:
        """A tenant's rows that are in this version and not in `old`, and the reverse; at most `most` of each."""
        before = _name()
        session = _session().register(self._hidden, self._table).register(before, old._table)
        names = ", ".join(quoted(c) for c in columns)
        mine, theirs = (
            f"SELECT {names} FROM ({rows})" for rows in (self._rows(self._hidden, tenant), old._rows(before, tenant))
        )
        return (
            _read(session, f"SELECT * FROM ({mine} EXCEPT {theirs}) LIMIT {most}"),
            _read(session, f"SELECT * FROM ({theirs} EXCEPT {mine}) LIMIT {most}"),
        )

    def _rows(self, hidden: str, tenant: str | None) -> str:
        return f"SELECT * FROM {hidden}{_predicate(self.names, tenant)}"


def select(relation: Relation, tenant: str | None, sql: str, most_bytes: int | None = None) -> pa.Table:
    """`relation.select`, as one name that a proof can put a fault into."""
    return relation.select(tenant, sql, most_bytes)


def _session() -> QueryBuilder:
    from deltalake import QueryBuilder

    return QueryBuilder(SESSION)


def _name() -> str:
    return f"t_{secrets.token_hex(16)}"


def _read(session: QueryBuilder, sql: str, most_bytes: int | None = None) -> pa.Table:
    import pyarrow as pa

    try:
        reader = pa.RecordBatchReader.from_stream(session.execute(sql))
        batches, size = [], 0
        for batch in reader:
            size += batch.nbytes
            if most_bytes is not None and size > most_bytes:
                raise TooLarge(
                    "the answer is too large",
                    why=f"more than {most_bytes // 2**20} MiB",
                    fix="ask for fewer columns or a smaller limit; further rows come by cursor",
                )
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)
    except CaudalError:
        raise
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


def _predicate(names: Collection[str], tenant: str | None) -> str:
    if tenant is None:
        return ""
    if TENANT not in names:
        return " WHERE FALSE"
    return f" WHERE {quoted(TENANT)} = {text(tenant)}"
