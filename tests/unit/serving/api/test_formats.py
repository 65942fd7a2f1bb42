from __future__ import annotations

import datetime as dt
from decimal import Decimal
from io import BytesIO

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from serving.api.answer import chosen, written
from serving.api.ask import Format

ROWS = pa.table(
    {
        "total": pa.array([Decimal("1.10"), None], pa.decimal128(28, 2)),
        "at": pa.array([dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None], pa.timestamp("us", "UTC")),
        "note": ['a "quoted", line\nand another', "=1+1"],
        "tags": [["x", "y"], None],
    }
)


def test_parquet_and_arrow_keep_everything() -> None:
    """Types, nulls and lists come back as they were."""
    assert parquet.read_table(BytesIO(written(ROWS, "parquet"))).equals(ROWS)
    with pa.ipc.open_stream(written(ROWS, "arrow")) as stream:
        assert stream.read_all().equals(ROWS)


def test_csv_quotes_what_it_must() -> None:
    """Exact decimals, quoted text, lists as JSON in their cell, nothing for null."""
    back = csv.read_csv(
        BytesIO(written(ROWS, "csv")),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(column_types={"total": pa.decimal128(28, 2)}),
    )
    assert back.column("total").to_pylist() == [Decimal("1.10"), None]
    assert back.column("note").to_pylist() == ROWS.column("note").to_pylist()
    assert back.column("tags").to_pylist() == ['["x", "y"]', ""]


def test_text_as_the_query_engine_gives_it_can_be_read_by_all() -> None:
    """The engine answers with views of text and bytes, alone and in lists: every format has plain ones."""
    views = pa.table(
        {
            "a": pa.array(["x", None], pa.string_view()),
            "b": pa.array([["y"], None], pa.list_(pa.string_view())),
            "c": pa.array([b"z", None], pa.binary_view()),
        }
    )
    with pa.ipc.open_stream(written(views, "arrow")) as stream:
        assert stream.read_all().schema.types == [pa.string(), pa.list_(pa.string()), pa.binary()]
    assert parquet.read_table(BytesIO(written(views, "parquet"))).column("a").to_pylist() == ["x", None]
    assert csv.read_csv(BytesIO(written(views, "csv"))).column("b").to_pylist() == ['["y"]', ""]


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "arrow"])
def test_nothing_is_an_answer_too(form: Format) -> None:
    """No rows give a file that can be read, in every format."""
    assert written(ROWS.slice(0, 0), form)


@pytest.mark.parametrize(
    ("asked", "accept", "form"),
    [
        (None, "", "json"),
        (None, "*/*", "json"),
        (None, "text/html, text/csv;q=0.5", "csv"),
        (None, "APPLICATION/VND.APACHE.PARQUET", "parquet"),
        ("arrow", "text/csv", "arrow"),
        (None, ",;,", "json"),
    ],
)
def test_the_format_is_what_the_caller_takes(asked: Format | None, accept: str, form: Format) -> None:
    """A named format goes first, then the first in Accept that there is, else JSON."""
    assert chosen(asked, accept) == form
