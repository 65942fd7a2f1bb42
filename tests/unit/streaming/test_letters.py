"""Dead letters as an operator reads them: groups, coordinates, evidence; from real Delta tables, without a JVM."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from caudal.lake import Lake
from caudal.settings import Settings
from schemas.load import load_catalog
from streaming import letters
from streaming.errors import NoDeadLetter
from streaming.letters import Wanted

AT = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
TIME = pa.timestamp("us", "UTC")
PLACE = [("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64())]
DEAD = pa.schema(
    [
        *PLACE, ("contract", pa.string()), ("code", pa.string()), ("path", pa.string()), ("schema_id", pa.int32()),
        ("contract_version", pa.int32()), ("at", TIME), ("_batch", pa.int64()),
    ]
)  # fmt: skip
MARKS = pa.schema([*PLACE, ("resolution", pa.string()), ("at", TIME), ("by", pa.string()), ("_batch", pa.int64())])
RAW = pa.schema(
    [*PLACE, ("key", pa.binary()), ("value", pa.binary()), ("schema_id", pa.int32()), ("_batch", pa.int64())]
)
SCHEMAS = pa.schema(
    [
        ("schema_id", pa.int32()), ("fingerprint", pa.string()), ("text", pa.string()), ("contract", pa.string()),
        ("version", pa.int32()), ("_batch", pa.int64()),
    ]
)  # fmt: skip


def place(offset: int, topic: str = "commerce.order") -> dict[str, Any]:
    return {"topic": topic, "partition": 0, "offset": offset, "_batch": 1}


def letter(offset: int, code: str, path: str = "", topic: str = "commerce.order", day: int = 0) -> dict[str, Any]:
    at = AT + dt.timedelta(days=day)
    return {**place(offset, topic), "contract": topic, "code": code, "path": path or None, "schema_id": 7, "at": at}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Five letters of two contracts; one is resolved."""
    lake = Lake.open(Settings(data_dir=tmp_path))
    dead = [
        letter(1, "CDL-GARBAGE"), letter(2, "CDL-GARBAGE", day=1), letter(3, "CDL-RULE-NEG_TOTAL", "total"),
        letter(4, "CDL-NULL"), letter(1, "CDL-NULL", topic="product.event"),
    ]  # fmt: skip
    tables = {
        ("quarantine", "dead_letters"): (DEAD, dead),
        ("quarantine", "resolutions"): (MARKS, [{**place(2), "resolution": "replayed", "at": AT, "by": "ops"}]),
        ("raw", "events"): (RAW, [{**place(3), "key": b"k", "value": b"12345", "schema_id": 7}]),
        ("raw", "schemas"): (SCHEMAS, [{"schema_id": 7, "contract": "commerce.order", "version": 1, "text": "{}"}]),
    }
    for name, (schema, rows) in tables.items():
        write_deltalake(lake.table(*name), pa.Table.from_pylist(rows, schema=schema))
    return lake


def test_groups_tell_open_from_resolved(lake: Lake) -> None:
    """By contract, code and path; a resolution takes its letter out of what is open, and of nothing else."""
    found = letters.groups(lake, Wanted())
    assert {(g["contract"], g["code"], g["path"]): (g["open"], g["resolved"]) for g in found} == {
        ("commerce.order", "CDL-GARBAGE", None): (1, 1),
        ("commerce.order", "CDL-NULL", None): (1, 0),
        ("commerce.order", "CDL-RULE-NEG_TOTAL", "total"): (1, 0),
        ("product.event", "CDL-NULL", None): (1, 0),
    }
    [garbage] = [g for g in found if g["code"] == "CDL-GARBAGE"]
    assert (garbage["first"], garbage["last"]) == (AT, AT + dt.timedelta(days=1))


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Wanted(contract="commerce.order"), [1, 2, 3, 4]),
        (Wanted(code="CDL-NULL"), [1, 4]),
        (Wanted(path="total"), [3]),
        (Wanted(since=AT + dt.timedelta(hours=1)), [2]),
        (Wanted(contract="commerce.order", code="CDL-NULL"), [4]),
        (Wanted(contract="x' or 'a' = 'a"), []),
    ],
)
def test_letters_are_chosen(lake: Lake, wanted: Wanted, offsets: list[int]) -> None:
    """Each condition narrows; a quote in a value is a character like any other."""
    assert sorted(row["offset"] for row in letters.listed(lake, wanted, 10)) == offsets


def test_the_newest_come_first(lake: Lake) -> None:
    """And no more than were asked for."""
    assert [(row["offset"], row["resolution"]) for row in letters.listed(lake, Wanted(), 1)] == [(2, "replayed")]


def test_one_letter_is_explained(lake: Lake) -> None:
    """Its record's sizes, its writer's schema and the rule that it breaks; not one byte of the record."""
    catalog = load_catalog(Path("schemas/contracts"))
    found = letters.explained(lake, catalog, "commerce.order", 0, 3)
    assert found["letter"]["path"] == "total"
    assert found["raw"] == {"key_bytes": 1, "value_bytes": 5, "schema_id": 7, "_batch": 1}
    assert (found["schema"]["contract"], found["schema"]["version"]) == ("commerce.order", 1)
    [rule] = [r.rule for r in catalog["commerce.order"].quality if r.code == "NEG_TOTAL"]
    assert found["rule"] == rule
    assert "12345" not in str(found)


def test_what_was_not_refused_is_not_found(lake: Lake) -> None:
    with pytest.raises(NoDeadLetter):
        letters.explained(lake, {}, "commerce.order", 0, 99)


def test_a_lake_without_tables_has_none(tmp_path: Path) -> None:
    lake = Lake.open(Settings(data_dir=tmp_path))
    assert (letters.groups(lake, Wanted()), letters.listed(lake, Wanted(), 5)) == ([], [])
    with pytest.raises(NoDeadLetter):
        letters.explained(lake, {}, "commerce.order", 0, 1)
