from __future__ import annotations

import datetime as dt
import json
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
