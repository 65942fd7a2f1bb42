"""Settings of the embedded registry: section `schemas.registry` of caudal.toml. Where it listens is `registry.url`."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from schemas.compare import Level


class RegistryServerSettings(BaseModel):
    """How the embedded registry keeps and judges schemas."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(
        default=None, description="its SQLite file; none: registry/registry.db in the data folder"
    )
    compatibility: Level = Field(default="BACKWARD", description="the level of subjects that have none of their own")
