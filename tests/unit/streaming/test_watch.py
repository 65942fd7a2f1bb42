"""The look every few seconds: valid-through times, budgets over a restart, and the alarm when one burns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from caudal.alerts import Alerts, recent
from caudal.clock import FixedClock
from caudal.metrics import Metrics, read_all
from caudal.standing import backlog, freshness
from schemas.contract import Contract
from streaming.batches import Batches
from streaming.facts import RawCommit
from streaming.freshness import ValidThrough
from streaming.lag import Lag
from streaming.query import Query
from streaming.settings import StreamingSettings
from streaming.watch import Watch
from tests.support import contracts

NOW = 1_767_614_400_000
PROMISE = "slaProperties: [{property: freshness, value: 1, unit: min}]\n"
LOOK_MS = 10_000


@dataclass
class Worker:
    """What a look asks of a contract's worker."""

    contract: Contract
    through: ValidThrough = field(default_factory=ValidThrough)
    settled: bool = True


@dataclass
class Road:
    """Kafka's ends, raw's ends and one worker, as they stand; the port of each of them that a look needs."""

    worker: Worker
    end: int = 0
    done: int = 0
    waiting: dict[str, int] = field(default_factory=dict)

    @property
    def raw(self) -> RawCommit:
        return RawCommit(1, {self.worker.contract.topic: {0: self.done}})

    @property
    def workers(self) -> dict[str, Worker]:
        return {self.worker.contract.id: self.worker}

    def most_records(self) -> int:
        return 100

    def partitions(self) -> dict[str, list[int]]:
        return {self.worker.contract.topic: [0]}

    def read_to(self) -> dict[str, Any]:
        return {}

    def ends(self, parts: dict[str, list[int]]) -> dict[str, dict[int, int]]:
        return {topic: {0: self.end} for topic in parts}

    def tell(self, done: object) -> None:
        """Nobody listens."""


@dataclass
class Bench:
    """A folder, a clock and a road; each `watch` is the process anew."""

    folder: Path
    road: Road
    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))

    def watch(self) -> Watch:
        self.metrics, self.road.worker.through = Metrics("streaming", self.folder), ValidThrough()
        alerts = Alerts(self.folder / "alerts.jsonl", [], "runbook")
        ports = cast(Batches, self.road), cast(Query, self.road), cast(Lag, self.road)
        own, file = StreamingSettings(), self.folder / "kept" / "freshness.json"
        file.parent.mkdir(exist_ok=True)
        return Watch(own, *ports, self.metrics, alerts, self.clock, file)

    def looks(self, watch: Watch, seconds: int) -> dict[str, Any]:
        """Look for so long; what is told of the contract then."""
        for _ in range(seconds * 1000 // LOOK_MS):
            self.clock.advance(LOOK_MS)
            watch.look()
        self.metrics.flush()
        [row] = freshness(read_all(self.folder))
        return row

    def alarms(self) -> list[str]:
        return [str(alarm["code"]) for alarm in recent(self.folder / "alerts.jsonl")]


def bench(tmp_path: Path) -> Bench:
    contract = contracts.make(tmp_path / "contracts", (), yaml=contracts.YAML + PROMISE)
    return Bench(tmp_path, Road(Worker(contract)))


def test_an_idle_table_is_fresh_and_a_stopped_one_burns_its_budget(tmp_path: Path) -> None:
    """Complete up to each look while nothing waits; when it stops, one alarm, and another only after it was well."""
    made = bench(tmp_path)
    watch = made.watch()
    row = made.looks(watch, 3600)
    assert (row["age_s"], row["promise_s"], row["kept_1h"], row["burn_rate_1h"]) == (0, 60, 1, 0)

    made.road.end, made.road.worker.settled = 5_000, False
    row = made.looks(watch, 1200)
    assert row["age_s"] == 1200
    assert made.alarms() == ["CDL-BUDGET"]
    found = backlog(read_all(made.folder))
    assert found is not None
    assert (found["records"], found["eta_s"]) == (5_000, None)

    made.road.done, made.road.worker.settled = 5_000, True
    row = made.looks(watch, 600)
    assert row["age_s"] == 0
    # Nineteen of twenty minutes were too old: a minute is promised.
    assert abs(row["kept_1h"] - (1 - 19 / 60)) < 0.01
    assert made.alarms() == ["CDL-BUDGET"]


def test_a_restart_remembers_and_counts_what_nobody_watched(tmp_path: Path) -> None:
    """Records that waited when the process came back show that the table was too old; without any it was not."""
    made = bench(tmp_path)
    watch = made.watch()
    made.looks(watch, 1800)
    watch.keep()
    made.clock.advance(600_000)
    made.road.end = 10
    again = made.watch()
    made.looks(again, 10)
    made.road.done = 10
    row = made.looks(again, 10)
    assert abs(row["kept_24h"] - (1 - 540 / 2420)) < 0.01
    assert row["since"] == NOW / 1000
    again.keep()

    made.clock.advance(600_000)
    assert made.looks(made.watch(), 10)["kept_24h"] > row["kept_24h"]
