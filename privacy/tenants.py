"""Each tenant's own secrets: the index key, and the epochs of the key that wraps its people's keys."""

import secrets
import sqlite3

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from privacy import store
from privacy.keys import KeyProvider, Wrapped

_KEY = 32  # bytes: AES-256, HMAC-SHA256


class TenantKeys:
    """Made at first use, wrapped by the provider, unwrapped once per process. The caller holds the vault's lock.

    Raises ProviderAway and KeyDestroyed as the provider does.
    """

    def __init__(self, db: sqlite3.Connection, provider: KeyProvider) -> None:
        self._db, self._provider = db, provider
        self._index: dict[str, bytes] = {}
        self._latest: dict[str, int] = {}
        self._wrappers: dict[tuple[str, int], AESGCM] = {}

    def index(self, tenant: str) -> bytes:
        """The key of the tenant's index; it has one epoch for ever, or nobody would be found again."""
        if tenant not in self._index:
            self._index[tenant] = self._secret(tenant, "index", 0)
        return self._index[tenant]

    def latest(self, tenant: str) -> int:
        """The epoch under which new keys are wrapped. Makes the first one, so call it outside of a transaction."""
        if tenant not in self._latest:
            row = self._db.execute(
                "SELECT max(epoch) FROM tenant_key WHERE tenant = ? AND purpose = 'wrap'", (tenant,)
            ).fetchone()
            self.wrapper(tenant, row[0] or 0)
            self._latest[tenant] = row[0] or 0
        return self._latest[tenant]

    def wrapper(self, tenant: str, epoch: int) -> AESGCM:
        """The tenant's wrapping key of an epoch."""
        if (tenant, epoch) not in self._wrappers:
            self._wrappers[tenant, epoch] = AESGCM(self._secret(tenant, "wrap", epoch))
        return self._wrappers[tenant, epoch]

    def forget(self) -> None:
        """Drop what is held in memory, after the vault's epoch moved on."""
        self._index.clear()
        self._latest.clear()
        self._wrappers.clear()

    def _secret(self, tenant: str, purpose: str, epoch: int) -> bytes:
        context = {"tenant": tenant, "purpose": purpose}
        row = self._row(tenant, purpose, epoch)
        if row is None:
            # The provider is asked outside of the transaction: it may be a network away.
            wrapped = self._provider.wrap(secrets.token_bytes(_KEY), context)
            with store.write(self._db):
                self._db.execute(
                    "INSERT OR IGNORE INTO tenant_key(tenant, purpose, epoch, key_id, wrapped) VALUES (?,?,?,?,?)",
                    (tenant, purpose, epoch, wrapped.key_id, wrapped.blob),
                )
            row = self._row(tenant, purpose, epoch)  # another process may have been first
        assert row is not None
        return self._provider.unwrap(Wrapped(*row), context)

    def _row(self, tenant: str, purpose: str, epoch: int) -> tuple[str, bytes] | None:
        row: tuple[str, bytes] | None = self._db.execute(
            "SELECT key_id, wrapped FROM tenant_key WHERE tenant = ? AND purpose = ? AND epoch = ?",
            (tenant, purpose, epoch),
        ).fetchone()
        return row
