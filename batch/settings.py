"""What the batch loop may be told, section `[batch]`."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from pydantic import Field

from caudal.settings import Section


class Prices(Section):
    """What the work and the room in the lake cost, for the marts of costs. Prices are per month and per record."""

    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    per_gib_month: Decimal = Field(default=Decimal("0.023"), ge=0)
    """Storage of one GiB for a month; the default is what S3's standard class takes."""
    per_million_records: Decimal = Field(default=Decimal("0.50"), ge=0)
    """Taking in, checking and writing a million records: put in what your machines cost by what they do."""


class BatchSettings(Section):
    """Pace of the loop, and where the dbt project comes from."""

    pause_s: float = Field(default=1.0, ge=0)
    """Seconds between two looks at silver. A look reads the new commits only; a cycle takes 10 s and more."""
    full_every: int = Field(default=5, ge=1)
    """The full group runs after this many live cycles: some two minutes apart on two cores."""
    full_after_s: float = Field(default=240.0, gt=0)
    """… or after this many seconds, whichever comes first; the rest of gold is promised within 5 minutes."""
    slice_marts: int = Field(default=4, ge=1)
    """Marts that a cycle of the full group builds before the live group may have its turn."""
    project_dir: Path | None = None
    """The dbt project; by default the one that comes with Caudal."""
    threads: int = Field(default=1, ge=1)
    """Models that dbt builds side by side. Two MERGEs at once on two cores are no faster and double the heap."""
    compact_files: int = Field(default=48, ge=2)
    """A mart with more live files than this is compacted in the full cycle, before its gate."""
    tenant_files: int = Field(default=6, ge=1)
    """A mart that is clustered by tenant is compacted when one tenant's rows may lie in more files than this."""
    product_rules: Path | None = None
    """Plans, quotas and funnels of product analytics; by default those that come with Caudal."""
    prices: Prices = Prices()
    keep_cycles: int = Field(default=2000, ge=10)
    """Cycle records kept: about half a day at a cycle every 20 s."""
