"""Bearer tokens: bound to a role, a tenant and, for ingest, to contracts. Only their hashes are kept.

A token is 32 random bytes, so a plain SHA-256 is a safe index; no slow hash is needed against guessing.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

Role = Literal["ingest", "reader", "scorer", "operator"]


@dataclass(frozen=True)
class Principal:
    """Who a token speaks for. `tenant` None means all tenants (operators only); no contracts means all."""

    id: str
    role: str
    tenant: str | None
    contracts: frozenset[str] = frozenset()

    def may_write(self, contract: str) -> bool:
        """Whether events of this contract may be pushed."""
        return self.role == "ingest" and (not self.contracts or contract in self.contracts)


@dataclass(frozen=True)
class Held:
    """A token that the store knows, and its end in epoch seconds."""

    principal: Principal
    expires: float | None


class TokenStore:
    """Tokens in one SQLite file, shared by the processes of one install."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        self._lock = threading.Lock()
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS token (hash BLOB PRIMARY KEY, id TEXT, role TEXT, tenant TEXT,"
            " contracts TEXT, expires REAL, once INTEGER)"
        )
        path.chmod(0o600)

    def issue(
        self,
        role: Role,
        tenant: str | None = None,
        contracts: tuple[str, ...] = (),
        *,
        lifetime_s: float | None = None,
        once: bool = False,
    ) -> str:
        """Make a token and return it; it cannot be shown again. `once` makes it work a single time.

        Raises ValueError for a role that needs a tenant and got none.
        """
        if tenant is None and role not in ("operator", "scorer"):
            raise ValueError(f"a token of role {role} needs a tenant")
        plain = f"cdl_{secrets.token_urlsafe(32)}"
        expires = time.time() + lifetime_s if lifetime_s is not None else None
        with self._lock:
            self._db.execute(
                "INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?)",
                (_hash(plain), secrets.token_hex(6), role, tenant, ",".join(sorted(contracts)), expires, int(once)),
            )
        return plain

    def resolve(self, plain: str) -> Principal | None:
        """The principal of a live token, or None. A one-time token is used up by this call."""
        with self._lock:
            row = self._db.execute(
                "SELECT id, role, tenant, contracts, expires, once FROM token WHERE hash = ?", (_hash(plain),)
            ).fetchone()
            if row is None or (row[4] is not None and row[4] < time.time()):
                return None
            if row[5]:
                used = self._db.execute("DELETE FROM token WHERE hash = ? AND once = 1", (_hash(plain),))
                if used.rowcount != 1:
                    return None  # another request used it between our two statements
        return Principal(row[0], row[1], row[2], frozenset(filter(None, row[3].split(","))))

    def revoke(self, plain: str) -> None:
        """End a token at once."""
        with self._lock:
            self._db.execute("DELETE FROM token WHERE hash = ?", (_hash(plain),))

    def listed(self) -> list[Held]:
        """Every token that has not expired, without the tokens themselves."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, role, tenant, contracts, expires FROM token WHERE expires IS NULL OR expires > ?"
                " ORDER BY role, tenant, id",
                (time.time(),),
            ).fetchall()
        return [Held(Principal(i, r, t, frozenset(filter(None, c.split(",")))), e) for i, r, t, c, e in rows]

    def rotate(self, id_: str, *, grace_s: float, lifetime_s: float | None = None) -> str | None:
        """A new token for the same role, tenant and contracts; the old one ends after `grace_s` at the latest.

        None when no live token has that id.
        """
        held = next((h for h in self.listed() if h.principal.id == id_), None)
        if held is None:
            return None
        who = held.principal
        plain = self.issue(cast("Role", who.role), who.tenant, tuple(who.contracts), lifetime_s=lifetime_s)
        self.end(id_, after_s=grace_s)
        return plain

    def end(self, id_: str, *, after_s: float = 0.0) -> bool:
        """End a token by its id, at once or after a while, never later than it would; whether there was one."""
        with self._lock:
            ends = time.time() + after_s
            return bool(
                self._db.execute(
                    "UPDATE token SET expires = min(coalesce(expires, ?), ?) WHERE id = ?", (ends, ends, id_)
                ).rowcount
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def open_store(data_dir: Path) -> TokenStore:
    """The install's token store."""
    return TokenStore(data_dir / "tokens.sqlite")


def _hash(plain: str) -> bytes:
    return hashlib.sha256(plain.encode()).digest()
