"""Arrow as COPY text: exact, one line per row, equal lines for equal rows only."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.warehouse.lines import lines, payload

SCHEMA = pa.schema(
    [
        ("text", pa.string()), ("words", pa.list_(pa.string())), ("money", pa.decimal128(18, 2)),
        ("share", pa.float64()), ("count", pa.int64()), ("yes", pa.bool_()),
    ]
)  # fmt: skip
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
CELLS = st.fixed_dictionaries(
    {
        "text": st.none() | TEXT,
        "words": st.none() | st.lists(st.none() | TEXT, max_size=3),
        "money": st.none() | st.decimals(-(10**15), 10**15, places=2),
        "share": st.none() | st.floats(allow_nan=False),
        "count": st.none() | st.integers(-(2**63), 2**63 - 1),
        "yes": st.none() | st.booleans(),
    }
)
UNESCAPED = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}


def field(text: str) -> str | None:
    """A field as COPY reads it."""
    if text == "\\N":
        return None
    out, rest = [], iter(text)
    for letter in rest:
        out.append(UNESCAPED[next(rest)] if letter == "\\" else letter)
    return "".join(out)


def array(text: str | None) -> list[str | None] | None:
    """An array literal as PostgreSQL reads it."""
    if text is None:
        return None
    found: list[str | None] = []
    at = 1
    while text[at] != "}":
        if text[at] == '"':
            word, at = [], at + 1
            while text[at] != '"':
                at += text[at] == "\\"
                word.append(text[at])
                at += 1
            found.append("".join(word))
            at += 1
        else:
            assert text.startswith("NULL", at)
            found.append(None)
            at += 4
        at += text[at] == ","
    return found


def read(line: str) -> dict[str, Any]:
    """A row as PostgreSQL would have it."""
    text, words, money, share, count, yes = map(field, line.split("\t"))
    return {
        "text": text,
        "words": array(words),
        "money": None if money is None else Decimal(money),
        "share": None if share is None else float(share),
        "count": None if count is None else int(count),
        "yes": None if yes is None else yes == "true",
    }


# the first example waits for imports
@settings(deadline=None)
@given(st.lists(CELLS, min_size=1, max_size=5))
def test_what_is_written_reads_back(rows: list[dict[str, Any]]) -> None:
    """Every value comes back exactly, whatever characters it has; a part of a batch is the same lines."""
    batch = pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    found = lines(batch).to_pylist()
    assert [read(line) for line in found] == rows
    assert bytes(payload(lines(batch))).decode() == "".join(f"{line}\n" for line in found)
    assert lines(batch.slice(1)).to_pylist() == found[1:]


@settings(deadline=None)
@given(CELLS, CELLS)
def test_equal_lines_mean_equal_rows(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Versions are compared by their lines, so two rows that differ must not share one."""
    first, second = lines(pa.RecordBatch.from_pylist([one, other], schema=SCHEMA)).to_pylist()
    # a float's two zeros are equal and are written apart, which costs a write and loses nothing
    assert first != second or one == other


def test_what_postgresql_cannot_hold_is_replaced() -> None:
    """The one character that its text has no place for becomes the sign for that, in lists too."""
    batch = pa.RecordBatch.from_pylist([{"text": "a\x00b", "words": ["\x00"]}], schema=SCHEMA.remove(5))
    assert lines(batch).to_pylist() == ['a\ufffdb\t{"\ufffd"}\t\\N\t\\N\t\\N']


def test_times_are_told_in_utc() -> None:
    """To the microsecond, from the first year to the last, whatever zone the column names; a null stays one."""
    times = [dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC), None]
    for zone in ("UTC", "America/Sao_Paulo"):
        batch = pa.RecordBatch.from_pydict({"at": pa.array(times, pa.timestamp("us", zone))})
        assert lines(batch).to_pylist() == ["0001-01-01 00:00:00.000000Z", "9999-12-31 23:59:59.999999Z", "\\N"]


def test_one_column_and_no_row() -> None:
    """A null in the only column is a null, and nothing is nothing."""
    assert lines(pa.RecordBatch.from_pydict({"x": pa.array([None, ""], pa.string())})).to_pylist() == ["\\N", ""]
    assert bytes(payload(lines(pa.RecordBatch.from_pydict({"x": pa.array([], pa.string())})))) == b""
