"""What the API may be told, section `[serving.api]`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from caudal.settings import Section


class ApiSettings(Section):
    """Limits of one web process."""

    rate_per_s: float = Field(default=50.0, gt=0)
    """Requests a second that a token may make for ever. A page of gold costs about 10 ms of a core."""
    burst: int = Field(default=100, ge=1)
    """Requests that a token may make at once before the rate holds."""
    tenant_rate_per_s: float = Field(default=100.0, gt=0)
    """The same for all tokens of a tenant together."""
    tenant_burst: int = Field(default=200, ge=1)
    daily_requests: int = Field(default=0, ge=0)
    """Requests of a tenant in a UTC day; 0: as many as the rate allows."""
    daily_rows: int = Field(default=0, ge=0)
    """Rows that a tenant may be given in a UTC day; 0: no end."""
    default_limit: int = Field(default=100, ge=1)
    max_limit: int = Field(default=1000, ge=1)
    """Rows of one JSON answer: about 1 MB for the widest mart."""
    max_columnar_limit: int = Field(default=50_000, ge=1)
    """Rows of one answer in CSV, Parquet or Arrow, which cost a tenth of JSON."""
    max_answer_mib: int = Field(default=16, ge=1)
    """Memory of one answer's rows before they are written out."""
    max_offset: int = Field(default=200_000, ge=1)
    """Rows that a walk by cursor may pass: each page sorts all rows before it again."""
    max_question_bytes: int = Field(default=65_536, ge=1)
    """Size of the body of a query."""
    smallest_cell: int = Field(default=5, ge=1)
    """Tenants that must stand behind each row of an operator's aggregate across tenants."""
    streams: int = Field(default=200, ge=1)
    streams_per_tenant: int = Field(default=10, ge=1)
    """Event streams open at once; operators' together count as one tenant's."""
    stream_poll_s: float = Field(default=1.0, gt=0)
    """Seconds between two looks at the manifest, however many streams are open."""
    stream_heartbeat_s: float = Field(default=15.0, gt=0)
    """Seconds of silence after which a comment is sent, and the token looked up again."""
    stream_s: float = Field(default=3600.0, gt=0)
    """Seconds after which a stream ends; clients resume by id."""
    stream_resume_s: float = Field(default=900.0, gt=0)
    """How long ago a version may have been replaced that a stream is resumed from."""
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
