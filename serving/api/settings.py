"""What the API may be told, section `[serving.api]`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from caudal.settings import Section


class ApiSettings(Section):
    """Limits of one web process. All rates are per token."""

    rate_per_s: float = Field(default=50.0, gt=0)
    """Requests a second that a token may make for ever. A page of gold costs about 10 ms of a core."""
    burst: int = Field(default=100, ge=1)
    """Requests that a token may make at once before the rate holds."""
    default_limit: int = Field(default=100, ge=1)
    max_limit: int = Field(default=1000, ge=1)
    """Rows of one answer: about 1 MB of JSON for the widest mart."""
    open_tables: int = Field(default=64, ge=1)
    """Opened table versions that are kept; one holds its file list, a few hundred kB for a large mart."""
    cursor_s: float = Field(default=300.0, gt=0)
    """Seconds a cursor is good for: far below retention, so that the version it names can still be read."""
    cursor_key: SecretStr = SecretStr("")
    """Signs cursors. Empty: a random one per process, which is right for a single web process."""
    probe_s: float = Field(default=2.0, gt=0)
    """Seconds that a dependency has to answer a readiness probe."""
    groups: tuple[str, ...] = ("live", "full")
    """Publish groups of an install; until each has published, an unknown mart may still come (503, not 404)."""
