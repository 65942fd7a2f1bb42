"""The ingest benchmark: what it publishes, how it reads ages, and when its comparison is void."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from caudal.cli.bench import ingest, steady
from caudal.cli.bench.events import Event, events
from caudal.cli.bench.growth import Sizes, recent, shared
from caudal.lake import Lake
from caudal.settings import LakeSettings, Settings
from producers.encode import decode
from schemas.distribution import Released
from schemas.load import load_catalog

COUNT = 3000


@pytest.fixture(params=ingest.MODES)
def released(request: pytest.FixtureRequest) -> Released:
    """The contract of a mode, as if registered under id 7."""
    catalog = load_catalog(ingest.CONTRACTS / request.param)
    [contract] = (one for name, one in catalog.items() if name.startswith("bench."))
    return Released(contract, {1: 7})


def test_a_tenth_comes_twice_and_a_hundredth_is_spoiled(released: Released) -> None:
    """Copies are earlier records byte for byte; good ones decode to ids of their own."""
    made = list(events(released, COUNT, seed=1, now_ms=lambda: 5))
    kinds = Counter("copy" if one.copy else "spoiled" if one.spoiled else "good" for one in made)
    assert sum(kinds.values()) == COUNT
    assert kinds["copy"] == pytest.approx(COUNT * 0.10, rel=0.2)
    assert kinds["spoiled"] == pytest.approx(COUNT * 0.01, rel=0.7)
    good: set[Event] = set()
    for one in made:
        if one.copy:
            assert Event(one.topic, one.key, one.value) in good
        elif not one.spoiled:
            good.add(one)
    decoded = [decode(one.value, released.contract.latest.wire) for one in good]
    assert {number for number, _ in decoded} == {7}
    assert len({record["event_id"] for _, record in decoded}) == kinds["good"]
    assert all(record["customer_cpf"]["token"] for _, record in decoded)


def test_a_seed_gives_the_same_events(released: Released) -> None:
    """So that two runs can be compared."""
    one, two, other = (list(events(released, 200, seed, lambda: 5)) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_age_is_from_publishing_to_the_commit(tmp_path: Path) -> None:
    """Rows published before the load do not count; a row's age ends with the commit that its `_version` names."""
    lake = Lake.open(Settings(data_dir=tmp_path, contracts_dir=tmp_path, lake=LakeSettings(uri=str(tmp_path / "lake"))))
    path = lake.table("silver", "bench_payment")
    now = datetime.now(UTC)
    for version, seconds in enumerate(((900.0, 3.0), (2.0, 1.0))):
        rows = {
            "_version": pa.array([version] * 2, pa.int64()),
            "_published_at": pa.array([now - timedelta(seconds=s) for s in seconds], pa.timestamp("us", "UTC")),
        }
        write_deltalake(path, pa.table(rows), mode="append")
    commits = [entry["timestamp"] / 1000 - now.timestamp() for entry in reversed(DeltaTable(path).history())]
    found = steady.quantiles(lake, ["bench_payment"], int((now - timedelta(seconds=60)).timestamp() * 1000))
    assert found["events"] == 3
    assert found["p50"] == pytest.approx(2.0 + commits[1], abs=0.02)
    assert found["p99"] == pytest.approx(3.0 + commits[0], abs=0.05)


@pytest.mark.parametrize(("plain", "verified", "ok"), [(50.0, True, True), (40.0, True, False), (50.0, False, False)])
def test_a_disturbed_or_unproved_run_is_void(plain: float, verified: bool, ok: bool) -> None:
    """The plain job must reach its share of the bare copy, and what the whole path wrote must be proved."""
    speeds = {"bare_copy": 100.0, "plain": plain, "caudal": 30.0, "caudal_upsert": 20.0}
    runs = {name: [{"eps": eps, "cpu_s": 2.0, "mib": 5.0, "verified": verified}] for name, eps in speeds.items()}
    plan = ingest.Plan(events=1000, repeats=1, batch=100, rate=10, seconds=5, growth=Sizes((), (), 1, 1, 1))
    found = ingest.answer(plan, runs, {"p50": 1.0}, 900.0)
    assert found["ok"] is ok
    assert found["ratio_to_plain"] == round(30.0 / plain, 3)
    assert found["cpu_s_per_million"]["caudal"] == 2000.0
    assert found["written_mib_per_s"]["caudal"] == 0.15
    assert found["share_of_cores"]["million_a_day"] == round(2000 / (2 * 86_400), 4)


def test_most_changes_are_of_the_last_day() -> None:
    """Of accounts that a month brought, 95 % of events are of the last thirtieth, and any of them may be met."""
    choose, chance = recent(3000), random.Random(5)
    met = Counter(choose(chance) >= 2900 for _ in range(10_000))
    assert met[True] / 10_000 == pytest.approx(0.95 + 0.05 / 30, abs=0.01)
    assert recent(1)(chance) == 0


def test_contracts_share_a_load(released: Released) -> None:
    """As many events of each, in turn, none of them the same."""
    other = Released(replace(released.contract, id="other.payment"), released.ids)
    made = list(shared([released, other], 200))
    assert [one.topic for one in made[:4]] == [released.contract.topic, "other.payment"] * 2
    assert Counter(one.topic for one in made) == {released.contract.topic: 100, "other.payment": 100}
    assert not {one.value for one in made if one.topic == "other.payment"} & {
        one.value for one in made if one.topic != "other.payment"
    }
