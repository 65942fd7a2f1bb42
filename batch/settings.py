"""What the batch loop may be told, section `[batch]`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from caudal.settings import Section


class BatchSettings(Section):
    """Pace of the loop, and where the dbt project comes from."""

    pause_s: float = Field(default=1.0, ge=0)
    """Seconds between two looks at silver. A look reads the new commits only; a cycle takes 10 s and more."""
    full_every: int = Field(default=5, ge=1)
    """The full group runs after this many live cycles: some two minutes apart on two cores."""
    full_after_s: float = Field(default=240.0, gt=0)
    """… or after this many seconds, whichever comes first; the rest of gold is promised within 5 minutes."""
    project_dir: Path | None = None
    """The dbt project; by default the one that comes with Caudal."""
    threads: int = Field(default=1, ge=1)
    """Models that dbt builds side by side. Two MERGEs at once on two cores are no faster and double the heap."""
    compact_files: int = Field(default=48, ge=2)
    """A mart with more live files than this is compacted in the full cycle, before its gate."""
    keep_cycles: int = Field(default=2000, ge=10)
    """Cycle records kept: about half a day at a cycle every 20 s."""
