"""What the scorer and the feature store may be told, section `[serving]`."""

from __future__ import annotations

from pydantic import Field

from caudal.settings import Section


class ServingSettings(Section):
    """Settings of features and fraud; the API and the dashboard have sections of their own below it."""

    features: str = "payments"
    """Which file of `schemas/features` is live."""
    group: str = "caudal-scorer"
    """Kafka consumer group of the scorer; several scorers with one name share the partitions."""
    batch: int = Field(default=500, ge=1, le=5000)
    """Records of one poll: one matrix through the model and about 1 MB of state through the store's pipeline."""
    poll_s: float = Field(default=0.2, gt=0)
    """Seconds that a poll waits for its first record: the idle scorer's worst extra latency."""
    decision_days: int = Field(default=38, ge=1)
    """Days that a decision's bytes are kept to answer repeats: longest window + label delay + 1 day."""
    store_timeout_s: float = Field(default=2.0, gt=0)
    """Seconds that Redis has for an answer before a request is refused with 503."""
    verify_entities: int = Field(default=200, ge=1)
    """Entities of each kind that `caudal verify` compares with silver."""
    verify_decisions: int = Field(default=200, ge=1)
    """Decisions that `caudal verify` recomputes."""
    verify_wait_s: float = Field(default=60.0, ge=0)
    """Seconds that a proof waits for silver to reach what the store already holds."""
