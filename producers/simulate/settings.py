"""Settings of the simulators: section `producers.simulate` of caudal.toml."""

from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field


class SimulateSettings(BaseModel):
    """How much of everything is played. The default makes about 200 events a second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=0, ge=0, description="the same seed plays the same people, amounts and frauds")
    start: datetime = Field(default=datetime(2026, 1, 1, tzinfo=UTC), description="simulated time of the first payment")

    payments_per_s: float = Field(default=85.0, ge=0, description="transactions a second once the history is out")
    customers: int = Field(default=300, ge=1, description="people who pay")
    terminals: int = Field(default=2_000, ge=1, description="merchants; fewer make each one's risk visible sooner")
    history_days: int = Field(default=40, ge=1, description="simulated days published at full speed at the start")
    history_batch: int = Field(default=500, ge=1, description="transactions sealed together in the history")

    webhooks_per_s: float = Field(default=8.0, ge=0, description="changes of orders and customers a second, all shops")
    shops: int = Field(default=4, ge=1, le=8)
    commerce_factor: int = Field(default=600, ge=1, description="a simulated day of the shops lasts 144 s")
    poll_every_s: float = Field(default=8.0, gt=0, description="pause between two reconciling polls of a shop")

    product_per_s: float = Field(default=100.0, ge=0, description="page and feature events a second")
    product_tenants: int = Field(default=240, ge=3)
    product_factor: int = Field(default=600, ge=1)
    product_batch: int = Field(default=25, ge=1, le=500, description="events in one HTTP request")

    vandal_every_s: float = Field(default=15.0, ge=0, description="pause between two unreadable records; 0: none")
