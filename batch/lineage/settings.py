"""What lineage may be told, section `[lineage]`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from caudal.settings import Section


class LineageSettings(Section):
    """Whether events are written, how many are kept, and who else gets them."""

    enabled: bool = True
    every_s: float = Field(default=30.0, gt=0)
    """Seconds between two looks at what ran. Events are derived afterwards, so nothing waits for them."""
    catalogue_every_s: float = Field(default=300.0, ge=0)
    """Seconds between two makings of the catalogue's pages, when something was published; 0: only by command."""
    keep_mib: int = Field(default=256, ge=1)
    """Room for written events in the lake, compressed; the oldest go first: some days of a busy laptop."""
    namespace: str = Field(default="caudal", min_length=1)
    """OpenLineage's namespace of our jobs: one a lake, where several write to one receiver."""
    url: str = ""
    """Where events are sent to as well (OpenLineage's HTTP endpoint, whole); empty: nowhere."""
    token: SecretStr = SecretStr("")
    """Sent as a bearer token."""
