"""Deaths inside one session: cheaper than a SIGKILL by a JVM's start, so there are many, in any order.

A point raises what nothing catches, the other threads finish what they have begun, and all is found again from the
tables, as after a kill of the process (which `test_kill.py` and `make chaos` do).
"""

from __future__ import annotations

import os
import random
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caudal.settings import Settings
from schemas.distribution import Released
from streaming import asked
from tests.support.fault_model import Model, Place
from tests.support.fault_play import ALL, BROKEN, FIXED, Play, Sent, made
from tests.support.stream_bench import KAFKA_ROWS, Bench
from tests.support.wire_records import NOON

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.slow]
POINTS = (
    "after-read", "after-raw", "after-quarantine", "mid-silver", "after-history", "after-silver", "mid-ledger",
    "before-checkpoint", "mid-care", "mid-rebuild", "mid-replay",
)  # fmt: skip
MODULES = ("batches", "slices", "quarantine", "ledger", "tend", "rebuild", "replay")
SEED = int(os.environ.get("CAUDAL_TEST_CHAOS_SEED") or random.randrange(10**6))
DEATHS = int(os.environ.get("CAUDAL_TEST_CHAOS_DEATHS") or 150)


class Died(BaseException):
    """The process died here."""


class Stage:
    """The streaming stage on a Kafka that is a dictionary: what raw does not have is read again."""

    def __init__(self, spark: SparkSession, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.chance = random.Random(SEED)
        contracts = made(folder / "contracts")
        released = {name: Released(contract, {1: 9001 + n}) for n, (name, contract) in enumerate(contracts.items())}
        often = {"care_look_s": 1e-6, "care_files": 6, "care_share": 1.0}
        self._bench = Bench(spark, settings.with_(data_dir=folder / "lake"), released.values(), **often)
        self._play = Play(released, self.chance)
        self._contracts = dict(contracts.items())
        self._topics: dict[tuple[str, int], list[tuple[Any, ...]]] = defaultdict(list)
        self.sent: dict[Place, Sent] = {}
        self._armed: list[str] = []
        for module in MODULES:
            monkeypatch.setattr(f"streaming.{module}.crashpoint", self._pass)

    def send(self, count: int, contracts: tuple[str, ...]) -> None:
        for one in self._play.records(count, contracts):
            self._put(one)

    def send_broken(self, contract: str) -> None:
        self._put(self._play.broken(contract))

    def _put(self, one: Sent) -> None:
        place = (one.contract, zlib.crc32(one.key) % 2)
        offset, at = len(self._topics[place]), datetime.fromtimestamp(NOON / 1000, UTC)
        self._topics[place].append((*place, offset, at, one.key, one.value, list(one.headers) or None))
        self.sent[*place, offset] = one

    def batch(self) -> None:
        """Everything that raw does not have, in one batch."""
        ends = self._bench.batches.raw.ends
        rows = [row for (topic, p), log in self._topics.items() for row in log[ends.get(topic, {}).get(p, 0) :]]
        if rows:
            self._bench.batches.process(self._bench.spark.createDataFrame(rows, KAFKA_ROWS), 0)  # type: ignore[arg-type]
        self._bench.batches.tend()
        self._bench.batches.flush()

    def command(self, verb: str, identity: str, contract: str) -> None:
        fixes = [{"set": "a", "value": FIXED}]
        more = {"by": "tests", "where": {"code": BROKEN}, "fixes": fixes} if verb == "replay" else {}
        getattr(asked, verb)(self._bench.batches, identity, {"contract": contract, **more})
        self._bench.batches.flush()

    def dies(self, point: str, nth: int, work: Callable[[], None]) -> bool:
        """Whether the work died at the nth passage of the point; all that it had begun has then ended."""
        self._armed = [point] * nth
        try:
            work()
        except Died:
            for pool in (self._bench.batches._pool, self._bench.batches._landing):
                pool.shutdown(wait=True)
            return True
        finally:
            self._armed = []
        return False

    def restart(self) -> None:
        self._bench.restart()
        self._bench.batches.flush()

    def findings(self) -> list[str]:
        halted = [str(worker.halted) for worker in self._bench.batches.workers.values() if worker.halted]
        return halted + self._bench.findings()

    def differences(self) -> list[str]:
        return Model(self._bench.lake, self._contracts, self.sent).differences()

    def _pass(self, point: str) -> None:
        if self._armed and self._armed[0] == point:
            self._armed.pop()
            if not self._armed:
                raise Died


@pytest.mark.timeout(0)
def test_deaths_lose_and_double_nothing(
    spark: SparkSession, offline_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each point in turn, in an order by the seed; silver, history, dead letters and ledger are what the reference
    says."""
    print(f"seed {SEED}", file=sys.stderr)
    stage = Stage(spark, offline_settings, tmp_path, monkeypatch)
    stage.send(15, ALL)
    stage.batch()
    died, tried = 0, 0
    order: list[str] = []
    while died < DEATHS:
        assert tried < 5 * DEATHS + 50, "the points are not reached"
        if not order:
            order = stage.chance.sample(POINTS, len(POINTS))
        point, tried = order.pop(), tried + 1
        died += _died(stage, point, f"c{tried}")
        assert stage.findings() == [], (SEED, point)
        if died % 10 == 0:
            stage.batch()
            assert stage.differences() == [], (SEED, point)
    stage.batch()
    assert stage.findings() == []
    assert stage.differences() == [], SEED


def _died(stage: Stage, point: str, identity: str) -> bool:
    """Die there with work pending, and perhaps while the next one finds out where everything stands; then go on."""
    chance = stage.chance
    verb = {"mid-rebuild": "rebuild", "mid-replay": "replay"}.get(point)
    contracts = tuple(chance.sample(ALL, chance.randrange(1, 4)))
    stage.send(chance.randrange(3, 25), contracts)

    def work() -> None:
        stage.batch()
        if verb:
            stage.command(verb, identity, contracts[0])

    if verb == "replay":
        stage.send_broken(contracts[0])
        stage.batch()
    if not stage.dies(point, 1 if verb else chance.choice((1, 1, 2)), work):
        return False
    while stage.dies(chance.choice(POINTS), 1, stage.restart):
        pass
    if verb:
        # The command log brings it again.
        stage.command(verb, identity, contracts[0])
    return True
