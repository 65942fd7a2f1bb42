from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal

import pyarrow as pa

from serving.api.answer import rows


def test_values_are_exact_json() -> None:
    """Money keeps its digits, times are UTC, and what JSON lacks is null."""
    table = pa.table(
        {
            "money": pa.array([Decimal("10.10")], pa.decimal128(18, 2)),
            "at": pa.array([dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
            "day": [dt.date(2026, 1, 2)],
            "score": [float("nan")],
            "tags": [["a", "b"]],
            "features": pa.array([[("x", 1.5)]], pa.map_(pa.string(), pa.float64())),
            "none": pa.array([None], pa.string()),
        }
    )
    expected = {
        "money": "10.10",
        "at": "2026-01-02T03:04:05.000Z",
        "day": "2026-01-02",
        "score": None,
        "tags": ["a", "b"],
        "features": {"x": 1.5},
        "none": None,
    }
    assert [expected] == rows(table)
    json.dumps(rows(table), allow_nan=False)


def test_times_are_written_whole() -> None:
    """Before 1970, in the first year, without a zone, by nanoseconds, and none at all."""
    moments = [dt.datetime(1969, 12, 31, 23, 59, 59, 999999), dt.datetime(1, 1, 1), None]
    for kind in (pa.timestamp("us", "UTC"), pa.timestamp("us")):
        found = rows(pa.table({"at": pa.array(moments, pa.timestamp("us")).cast(kind)}))
        assert [row["at"] for row in found] == ["1969-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z", None]
    fine = pa.array([1], pa.timestamp("ns", "UTC"))
    assert rows(pa.table({"at": fine})) == [{"at": "1970-01-01T00:00:00.000Z"}]


def test_an_answer_loads_no_pandas() -> None:
    """It would cost the first reader seconds, and the process tens of MiB."""
    code = (
        "import sys, pyarrow as pa; from serving.api.answer import rows;"
        "at = pa.Array.from_buffers(pa.timestamp('us', 'UTC'), 1, [None, pa.py_buffer(bytes(8))]);"
        "print(rows(pa.Table.from_arrays([at], ['at'])), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[{'at': '1970-01-01T00:00:00.000Z'}] False"
