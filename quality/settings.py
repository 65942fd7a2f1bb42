"""What the gate may be told, section `[quality]`."""

from __future__ import annotations

from pydantic import Field

from caudal.settings import Section


class QualitySettings(Section):
    """How long results are kept."""

    keep_results: int = Field(default=2000, ge=10)
    """Result files kept, one a cycle: about half a day at a cycle every 20 s."""
