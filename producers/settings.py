"""Settings of publishing and intake: section `producers` of caudal.toml."""

from pydantic import BaseModel, ConfigDict, Field


class ProducersSettings(BaseModel):
    """How long publishers wait, how much they hold, and what the HTTP intake takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_s: float = Field(
        default=30.0, gt=0, description="how long a record waits for Kafka before it counts as failed"
    )
    # 5 ms gather a few hundred records at full speed and are nothing to a person waiting for an answer.
    linger_ms: int = Field(default=5, ge=0, description="how long records gather into one request to Kafka")
    queue_messages: int = Field(default=50_000, ge=1, description="records in memory before publishing waits")
    queue_kib: int = Field(default=65_536, ge=1024, description="KiB in memory before publishing waits")
    max_message_bytes: int = Field(default=1_000_000, ge=1024, description="largest encoded record, bytes")
    contract_poll_s: float = Field(default=1.0, gt=0, description="how often newly released versions are looked for")
    batch_records: int = Field(default=1000, ge=1, description="records per HTTP batch")
    group_records: int = Field(default=500, ge=1, description="records that concurrent requests share one commit for")
    intake_deadline_s: float = Field(
        default=15.0, gt=0, description="how long an HTTP request waits for Kafka, then 503"
    )
    intake_waiting: int = Field(default=2000, ge=1, description="requests in line before new ones get 503")
    # Events that the platform itself makes; a token must name them to push them.
    intake_internal: tuple[str, ...] = Field(
        default=("fraud.decision",), description="contracts that only a token naming them may push"
    )
    sealer_group: str = Field(default="caudal.sealer", description="consumer group of all sealers of a lake")
    # Two sealers with one name push each other out; a restarted one takes over what its predecessor left open.
    sealer_instance: str = Field(default="0", description="name of this sealer among those of its group")
    sealer_records: int = Field(default=500, ge=1, description="records that the sealer moves in one transaction")
    sealer_tenants: dict[str, str] = Field(
        default_factory=dict, description="tenant by Debezium's logical name, for rows and truncates that name none"
    )
    rejected_payload_bytes: int = Field(
        default=700_000, ge=1024, description="largest refused request kept whole, bytes"
    )
