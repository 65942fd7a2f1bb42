"""Anomalies: measured recall and false alarms, and the rules that keep alarms few."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.lake import LocalLake
from quality.anomalies import profile
from quality.anomalies.detect import anomalies, kinds_of
from quality.anomalies.evaluate import BEGIN, HOLIDAYS, evaluate
from quality.anomalies.seasonal import FIRST, HOLIDAY, USUAL, WARM_UP, WEEK, Floats, Kinds, scores
from quality.anomalies.watch import look
from schemas.contract import Contract
from schemas.load import load_catalog

ROOT = Path(__file__).resolve().parents[3]
FIRST_HOUR = (BEGIN - date(1970, 1, 1)) // timedelta(hours=1)


def steady(weeks: int, seed: int = 1) -> tuple[Floats, Kinds]:
    """A busy series with a daily and a weekly shape."""
    n = weeks * WEEK
    hour, day = np.arange(n) % 24, np.arange(n) // 24 % 7
    rate = 1000 * (1 + 0.5 * np.sin(hour / 24 * 2 * np.pi)) * np.where(day >= 5, 0.6, 1.0)
    values = np.random.default_rng(seed).poisson(rate).astype(np.float64)
    return values, kinds_of(range(FIRST_HOUR, FIRST_HOUR + n), HOLIDAYS)


def test_most_faults_are_found_and_alarms_are_few() -> None:
    """On generated series with special days: six faults of seven, and at most one false alarm a series and year."""
    found = evaluate(series=12, weeks=20, seed=3)
    assert found["recall"] >= 0.86
    assert found["false_alarms_per_series_week"] <= 1 / 52
    assert found["recall_by_fault"]["outage"] == 1.0
    assert found["faults"] == 12 * 8 * 2


def test_the_same_seed_gives_the_same_figures() -> None:
    """A run can be repeated; another seed is another run."""
    assert evaluate(2, 12, 5) == evaluate(2, 12, 5)


def test_a_trouble_of_many_hours_is_one_alarm() -> None:
    """Five hours of silence are told once, from the first hour to the last."""
    values, kinds = steady(8)
    begin = 6 * WEEK + 12
    values[begin : begin + 5] = 0
    [found] = list(anomalies("t", "volume", FIRST_HOUR, values, kinds))
    assert (found.first - FIRST_HOUR, found.last - FIRST_HOUR) == (begin, begin + 4)
    assert found.score < 0
    assert found.observed == 0


def test_less_delay_is_no_trouble() -> None:
    """Delays, maxima and nulls alarm only upwards."""
    values, kinds = steady(8)
    values[6 * WEEK + 12 : 6 * WEEK + 15] = 0
    assert list(anomalies("t", "delay", FIRST_HOUR, values, kinds)) == []


def test_nobody_knows_the_first_weeks() -> None:
    """Without a past there is no verdict."""
    values, kinds = steady(3)
    values[WEEK] = 0
    assert np.isnan(scores(values, kinds)[:WARM_UP]).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(WARM_UP, 6 * WEEK - 1), st.floats(0, 1e6))
def test_the_future_does_not_change_the_past(at: int, value: float) -> None:
    """A score depends on earlier hours only."""
    values, kinds = steady(6)
    changed = values.copy()
    changed[at:] = value
    np.testing.assert_array_equal(scores(values, kinds)[:at], scores(changed, kinds)[:at])


def test_kinds_of_days() -> None:
    """The first of a month is one, and a holiday is a holiday first."""
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) // 3600
    assert list(kinds_of(range(begin + 23, begin + 25), {date(2026, 1, 1)})) == [HOLIDAY, USUAL]
    assert list(kinds_of(range(begin, begin + 1), set())) == [FIRST]


@pytest.fixture
def contract() -> Contract:
    return load_catalog(ROOT / "schemas" / "contracts")["payments.transaction"]


def silver(lake: LocalLake, contract: Contract, hours: list[tuple[int, int]], begin: datetime) -> None:
    """So many payments of 10 in so many hours after `begin`, each ten seconds late."""
    times = [begin + timedelta(hours=hour, seconds=n % 3600) for hour, many in hours for n in range(many)]
    stamp = pa.timestamp("us", "UTC")
    rows = pa.table(
        {
            "_published_at": pa.array(times, stamp),
            "occurred_at": pa.array([time - timedelta(seconds=10) for time in times], stamp),
            "amount": pa.array([10.0] * len(times), pa.float64()).cast(pa.decimal128(18, 2)),
        }
    )
    write_deltalake(lake.table("silver", contract.table), rows, mode="append")


def test_hours_are_read_once_and_kept(tmp_path: Path, contract: Contract) -> None:
    """Whole hours become signals; a second look reads only what came since; hours without rows are there as such."""
    lake, begin = LocalLake(str(tmp_path)), datetime(2026, 3, 2, tzinfo=UTC)
    first = profile.hour_of(begin)
    assert profile.refresh(lake, contract, first) is None
    silver(lake, contract, [(0, 3), (2, 5), (3, 1)], begin)
    kept = profile.refresh(lake, contract, first + 3)
    assert kept is not None
    assert kept.column("hour").to_pylist() == [first, first + 2]
    silver(lake, contract, [(2, 100), (3, 6)], begin)
    again = profile.refresh(lake, contract, first + 5)
    assert again is not None
    at, series = profile.signals(again, first + 5)
    assert at == first
    assert series["volume"].tolist() == [3.0, 0.0, 5.0, 7.0, 0.0]
    assert series["delay"][0] == pytest.approx(10.0)
    assert series["mean:amount"][[0, 2, 3]].tolist() == [10.0, 10.0, 10.0]
    assert np.isnan(series["max:amount"][1])


def test_an_outage_of_a_table_is_seen(tmp_path: Path, contract: Contract) -> None:
    """Silence after five regular weeks is an alarm; before it there was none."""
    lake, begin = LocalLake(str(tmp_path)), datetime(2026, 3, 2, tzinfo=UTC)
    silver(lake, contract, [(hour, 60) for hour in range(5 * WEEK)], begin)
    found, looked = look(lake, [contract], begin + timedelta(weeks=5), ())
    assert found == ()
    assert looked == len(profile.numbers(contract)) * 3 + 2
    found, _ = look(lake, [contract], begin + timedelta(weeks=5, hours=3), ())
    assert [(one.signal, one.observed) for one in found] == [("volume", 0.0)]
