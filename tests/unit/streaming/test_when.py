"""What WHEN of a command stands for."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from caudal.errors import UsageError
from caudal.lake import Lake
from caudal.query import Query
from caudal.settings import Settings
from streaming.when import first_batch, parse

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def raw(tmp_path: Path) -> Query:
    """Batches 3, 4 and 5 at ten, eleven and twelve; the topic `b` is in batch 4 alone."""
    lake = Lake.open(Settings(data_dir=tmp_path, contracts_dir=tmp_path))
    hours = [10, 11, 11, 12]
    rows = {
        "topic": ["a", "a", "b", "a"],
        "kafka_time": pa.array([NOW.replace(hour=hour) for hour in hours], pa.timestamp("us", "UTC")),
        "_batch": pa.array([3, 4, 4, 5], pa.int64()),
    }
    Path(lake.table("raw", "events")).mkdir(parents=True)
    write_deltalake(lake.table("raw", "events"), pa.table(rows))
    found = Query(lake)
    found.table("raw", "raw", "events")
    return found


@pytest.mark.parametrize(
    ("text", "batch", "of_b"),
    [
        ("PT30M", 5, 5), ("PT1H", 4, 4), ("PT90M", 4, 4), ("P1D", 3, 4),
        ("2026-01-05T11:00", 4, 4), ("2026-01-05T11:00:00-03:00", 6, 5), ("2026-01-05", 3, 4), ("2020-02-02", 3, 4),
        ("4", 4, 4), ("0", 1, 1), ("99", 6, 5),
    ],
)  # fmt: skip
def test_a_moment_is_a_raw_batch(raw: Query, text: str, batch: int, of_b: int) -> None:
    """The first batch with a record of that moment or later; one after the last when there is none."""
    when = parse(text, NOW)
    assert (first_batch(raw, when), first_batch(raw, when, "b")) == (batch, of_b)


def test_moments_are_aware() -> None:
    """Without a zone a time is UTC; what is no moment is refused with the forms that are."""
    assert parse("2026-01-05T11:00", NOW) == datetime(2026, 1, 5, 11, tzinfo=UTC)
    assert parse("2026-01-05T11:00+02:00", NOW) == datetime(2026, 1, 5, 11, tzinfo=timezone(timedelta(hours=2)))
    for text in ("yesterday", "", "P", "-3", "P9999999999Y"):
        with pytest.raises(UsageError, match="no moment"):
            parse(text, NOW)
