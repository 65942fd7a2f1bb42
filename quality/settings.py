"""What quality may be told, section `[quality]`."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from caudal.settings import Section


class QualitySettings(Section):
    """How long results are kept, what is promised, which days are no usual ones."""

    keep_results: int = Field(default=2000, ge=10)
    """Result files kept, one a cycle: about half a day at a cycle every 20 s."""
    objective: float = Field(default=0.9995, gt=0, lt=1)
    """The share of the time in which intake, API, gold, scoring and batch are to be there."""
    holidays: frozenset[date] = frozenset()
    """Days on which traffic is not that of their weekday, past ones too: `["2026-12-25"]`."""
