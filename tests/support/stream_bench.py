"""The streaming stage without Kafka: micro-batches are handed to it as rows, its tables are read without a JVM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from caudal.alerts import Alerts
from caudal.clock import FixedClock
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.query import Query
from caudal.settings import Settings
from schemas.distribution import Released
from streaming import jvm, positions, registered
from streaming.batches import Batches
from streaming.ledger import Ledger
from streaming.recount import Recount
from streaming.settings import StreamingSettings
from streaming.worker import Shop
from streaming.writers import Registered, Writers
from tests.support.wire_records import NOON, framed, key_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KAFKA_ROWS = (
    "topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, key BINARY, value BINARY, "
    "headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
)


@dataclass(frozen=True)
class Message:
    """One Kafka record; the bench gives it the next offset of its partition."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int = 0


@dataclass
class KnownIds:
    """A registry that knows what a test tells it, and can be away."""

    schemas: dict[int, Registered] = field(default_factory=dict)
    away: bool = False

    def find(self, schema_id: int) -> Registered | None:
        if self.away:
            raise TransientError("the registry is away")
        return self.schemas.get(schema_id)


class Bench:
    """Contracts, a lake, and everything that the streaming process has except Kafka."""

    def __init__(self, spark: SparkSession, settings: Settings, released: Iterable[Released], **own: Any) -> None:
        self.spark, self.settings = spark, settings
        self.lake = Lake.open(settings)
        self.registry = KnownIds()
        self.clock = FixedClock(NOON)
        # When Kafka took the records of the next batches, epoch milliseconds.
        self.kafka_ms = NOON
        self.metrics = Metrics("test")
        self.released = {one.contract.id: one for one in released}
        self._own = StreamingSettings(**{"park_retry_s": 1e-6, "halt_retry_s": 1e-6, "workers": 2, **own})
        self._next: dict[tuple[str, int], int] = defaultdict(int)
        self.batches = self.restart()
        # A lake that another bench has made goes on where that one stopped.
        for topic, parts in self.batches.raw.ends.items():
            self._next.update({(topic, partition): end for partition, end in parts.items()})

    def restart(self) -> Batches:
        """As after the death of the process: everything is found again from the tables."""
        writers = Writers(
            self.registry, jvm.compatible(self.spark), registered.known(self.lake), monotonic=lambda: float("inf")
        )
        ledger = Ledger(self.spark, self.lake)
        ledger.load(positions.flushed_versions(self.lake))
        alerts = Alerts(None, [], "runbook")
        shop = Shop(self.spark, self.lake, self._own, writers, ledger, self.metrics, alerts, self.clock)
        self.batches = Batches(shop)
        self.batches.open(self.released.values())
        return self.batches

    def release(self, released: Released) -> bool:
        """A new contract or version arrives while the stage runs."""
        self.released[released.contract.id] = released
        return self.batches.release([released])

    def message(self, contract: str, value: Mapping[str, Any], version: int | None = None) -> Message:
        """A good record of a contract."""
        one = self.released[contract]
        return Message(one.contract.topic, key_of(one.contract, value), framed(one, value, version))

    def counted(self, name: str, **labels: str) -> float:
        """A counter or gauge as the stage would report it."""
        numbers = self.metrics.snapshot()
        found = [s for s in (*numbers["counters"], *numbers["gauges"]) if s["name"] == name and s["labels"] == labels]
        return sum(float(sample["value"]) for sample in found)

    def batch(self, messages: Iterable[Message]) -> None:
        """One micro-batch, and the ledger flushed behind it."""
        rows = []
        for message in messages:
            place = (message.topic, message.partition)
            at = datetime.fromtimestamp(self.kafka_ms / 1000, UTC)
            headers = list(message.headers) or None
            rows.append((*place, self._next[place], at, message.key, message.value, headers))
            self._next[place] += 1
        self.batches.process(self.spark.createDataFrame(rows, KAFKA_ROWS), 0)  # type: ignore[arg-type]
        self.batches.flush()

    def silver(self, contract: str, columns: str = "*", order: str = "1") -> list[dict[str, Any]]:
        """Rows of a contract's table."""
        return self.rows("silver", self.released[contract].contract.table, columns, order)

    def rows(self, layer: str, table: str, columns: str = "*", order: str = "1") -> list[dict[str, Any]]:
        """Rows of any table."""
        query = Query(self.lake)
        query.table("t", layer, table)
        return query.rows(f"SELECT {columns} FROM t ORDER BY {order}")

    def dead_letters(self) -> list[tuple[str, str | None]]:
        """(code, path) of all dead letters, by coordinates."""
        rows = self.rows("quarantine", "dead_letters", 'code, path, topic, "partition", "offset"', "3, 4, 5")
        return [(row["code"], row["path"]) for row in rows]

    def ledger(self, contract: str) -> dict[str, int]:
        """Sums of a contract's ledger lines, zeros left out."""
        names = ["read", "applied", "duplicate", "superseded", "dead_letter", "parked", "late", "suppressed", "expired"]
        query = Query(self.lake)
        query.table("t", "ops", "ledger")
        [row] = query.rows(
            f"SELECT {', '.join(f'sum({n}) AS {n}' for n in names)} FROM t WHERE contract = '{contract}'"
        )
        return {name: n for name, n in row.items() if n}

    def findings(self) -> list[str]:
        """What verify finds wrong inside the lake."""
        contracts = [one.contract for one in self.released.values()]
        recount = Recount(self.lake, contracts)
        return recount.conservation().findings + recount.idempotence().findings
