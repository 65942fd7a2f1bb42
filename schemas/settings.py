"""Settings of the contracts: section `schemas` of caudal.toml."""

from pydantic import BaseModel, ConfigDict, Field


class SchemasSettings(BaseModel):
    """How topics are created and how contracts reach running stages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: int = Field(default=2, ge=1, description="partitions of a new topic; one per core of a laptop")
    replication: int = Field(default=1, ge=1, description="copies of each partition; 3 on a cluster")
    contracts_topic: str = Field(default="caudal.contracts", description="compacted topic that carries the contracts")
    max_message_bytes: int = Field(default=1_048_576, ge=1024, description="largest record a topic takes, bytes")
    deadline_s: float = Field(default=30.0, gt=0, description="how long apply and the feed wait for broker or registry")
    watch_s: float = Field(default=1.0, gt=0, description="how often the folder of contracts is looked at, seconds")
