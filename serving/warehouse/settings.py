"""What the warehouse may be told, section `[serving.warehouse]`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from caudal.settings import Section


class WarehouseSettings(Section):
    """Where PostgreSQL is, and how it is treated."""

    url: SecretStr = SecretStr("")
    """`postgresql://publisher:password@host/database`; empty: there is no warehouse."""
    poll_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks at the manifest, which is one small file."""
    lock_timeout_s: float = Field(default=5.0, gt=0)
    """Seconds that a publish waits for queries on a table that it must replace; new ones wait as long."""
    most_changed_mib: int = Field(default=128, ge=1)
    """Data files of one mart that are compared in memory, which takes about ten times their size; beyond, the mart is
    copied anew."""
    login_connections: int = Field(default=10, ge=1)
    """Connections of one login at a time."""
    login_timeout_s: int = Field(default=60, ge=1)
    """Seconds after which a login's statement is ended, unless the tool sets its own."""
