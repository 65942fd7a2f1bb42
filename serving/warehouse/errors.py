"""What the warehouse can be told.

CaudalError
├── WarehouseError      PostgreSQL refused a statement (exit 1)
│   ├── Off             no address is set (exit 3)
│   ├── Unfit           the server or the publisher's login is not what is needed (exit 3)
│   ├── NoType          a column has a type that PostgreSQL has no exact one for (exit 4)
│   ├── BadLogin        a login's name or rights do not fit, or it exists already (exit 2)
│   └── Unreconciled    the copy is not what the lake holds; nothing was published (exit 7)
└── Away                the server does not answer, or a lock was not to be had (exit 6)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from caudal.errors import CaudalError, Exit, TransientError


class WarehouseError(CaudalError):
    """PostgreSQL refused a statement."""

    code = "CDL-WAREHOUSE"


class Off(WarehouseError):
    """No address is set."""

    code = "CDL-WAREHOUSE-OFF"
    exit_code = Exit.CONFIGURATION


class Unfit(WarehouseError):
    """The server is too old, or the publisher's login has rights that undo row-level security."""

    code = "CDL-WAREHOUSE-UNFIT"
    exit_code = Exit.CONFIGURATION


class NoType(WarehouseError):
    """A column has a type that PostgreSQL has no exact one for."""

    code = "CDL-WAREHOUSE-TYPE"
    exit_code = Exit.CONTRACT


class BadLogin(WarehouseError):
    """A login's name or rights do not fit, or it exists already, or does not."""

    code = "CDL-WAREHOUSE-LOGIN"
    exit_code = Exit.USAGE


class Unreconciled(WarehouseError):
    """The copy is not what the lake holds. `mart` is which."""

    code = "CDL-WAREHOUSE-RECONCILE"
    exit_code = Exit.INVARIANT

    def __init__(self, mart: str, *, why: str) -> None:
        super().__init__(
            f"mart {mart} in PostgreSQL is not what the lake holds",
            where=mart,
            why=why,
            fix="nothing was published; `caudal warehouse publish --whole` copies every mart anew",
        )
        self.mart = mart


class Away(TransientError):
    """The server does not answer, or somebody held a lock for too long."""

    code = "CDL-WAREHOUSE-AWAY"


@contextmanager
def told(where: str = "") -> Iterator[None]:
    """Give PostgreSQL's errors their facts: kind and SQL state, never its text, which may repeat a value."""
    import psycopg

    try:
        yield
    except psycopg.OperationalError as error:
        # A server that stops or is away, a lock that was not given in time, a full disk: trying again makes sense.
        raise Away("PostgreSQL did not do it now", where=where, why=_kind(error), fix="it is tried again") from error
    except psycopg.Error as error:
        table = error.diag.table_name or ""
        raise WarehouseError(
            "PostgreSQL refused a statement",
            where=where or table,
            why=_kind(error),
            fix="see the runbook under CDL-WAREHOUSE",
        ) from error


def _kind(error: Exception) -> str:
    state = getattr(error, "sqlstate", None)
    return type(error).__name__ + (f" ({state})" if state else "")
