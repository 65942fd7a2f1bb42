"""What the dashboard may be told, section `[serving.dashboard]`."""

from __future__ import annotations

from pydantic import Field

from caudal.settings import Section


class DashboardSettings(Section):
    """Times in seconds."""

    every_s: float = Field(default=2.0, gt=0)
    """Between two states. Snapshots are written each second, gold moves every few seconds."""
    heartbeat_s: float = Field(default=10.0, gt=0)
    """Between two comments on a silent stream, below the idle limit of common proxies (30 to 60 s)."""
    idle_s: float = Field(default=300.0, gt=0)
    """The thread goes on this long after the last page has left, so that a reload finds its curves."""
    session_s: float = Field(default=43_200.0, gt=0)
    """Life of a session: a working day."""
    most_pages: int = Field(default=50, ge=1)
    """Open event streams of one web process."""
