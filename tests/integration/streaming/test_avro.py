"""Avro's whole type system through the road: Apache's pairs, every kind of type, and bytes that mean harm."""

from __future__ import annotations

import copy
import json
import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caudal.settings import Settings
from schemas.contract import Contract
from schemas.distribution import Released
from schemas.lint import lint
from streaming import jvm
from streaming.writers import Registered
from tests.support import contracts
from tests.support.avro_pairs import (
    AVRO_FIXTURES,
    Pair,
    as_silver,
    default_of,
    encoded,
    pairs,
    resolved,
    value_of,
    zigzag,
)
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import NOON, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
PAIRS = list(pairs())
GOOD, BAD, KINDS = "pairs.good", "pairs.bad", "pairs.kinds"
FIRST_ID = 20_000
ELSEWHERE = (("elsewhere", 1),)


def columnless(kind: Any, root: Path, name: str) -> bool:
    """Whether the contract's linter says that no table can hold the type."""
    contract = contracts.make(root, ({"name": "v", "type": kind},), id=f"none.{name}")
    return any("`v`" in f.message and f.code == "CDL-CONTRACT-TYPE" for f in lint(contract) if f.severity == "error")


def fields_of(pairs: list[Pair], side: str, **more: Any) -> tuple[dict[str, Any], ...]:
    """A field for each pair, named by it, of its reader's or writer's type."""
    return tuple({"name": one.name, "type": getattr(one, side), **more} for one in pairs)


def written(contract: Contract, *fields: dict[str, Any]) -> dict[str, Any]:
    """The wire schema of a producer that has these fields besides those that every contract has."""
    base = {item["name"] for item in contracts.BASE} | {"subject_ref", "origin"}
    wire = copy.deepcopy(contract.latest.wire)
    return {**wire, "fields": [*(item for item in wire["fields"] if item["name"] in base), *fields]}


def body_of(schema: dict[str, Any], contract: Contract, event_id: str, values: dict[str, Any]) -> bytes:
    """A record with these values; what every record has is filled in."""
    whole = {**record(contract, event_id=event_id, tenant_id="t"), **values}
    return encoded(schema, {item["name"]: whole[item["name"]] for item in schema["fields"]})


def as_message(topic: str, schema_id: int, body: bytes) -> Message:
    return Message(topic, b"k", b"\0" + schema_id.to_bytes(4, "big") + body)


def test_apaches_pairs_land_or_are_dead_letters(
    spark: SparkSession, offline_settings: Settings, tmp_path: Path
) -> None:
    """What the writer of a compatible pair wrote is in silver as fastavro resolves it; all records of the others are
    CDL-INCOMPATIBLE; a reader without a column is refused by the linter."""
    refused = [one for one in PAIRS if columnless(one.reader, tmp_path, one.name)]
    # Always null, an empty union, a record of nothing.
    assert Counter(one.compatible for one in refused) == {True: 4, False: 3}
    held = [one for one in PAIRS if one not in refused]
    good, bad = ([one for one in held if one.compatible is verdict] for verdict in (True, False))
    # An empty union has no value that anybody could write.
    silent, told = ([one for one in good if (one.writer == []) is none] for none in (True, False))
    assert (len(told), len(silent), len(bad)) == (61, 5, 58)

    lands = Released(contracts.make(tmp_path, fields_of(told, "reader"), id=GOOD, name="Good"), {1: FIRST_ID - 1})
    given = tuple({"name": one.name, "type": one.reader, "default": default_of(one.reader)} for one in bad)
    fails = Released(contracts.make(tmp_path, given, id=BAD, name="Bad"), {1: FIRST_ID - 2})
    bench = Bench(spark, offline_settings, [lands, fails])
    writer = written(lands.contract, *fields_of(told, "writer"))
    bench.registry.schemas[FIRST_ID] = Registered(json.dumps(writer), ELSEWHERE)
    bodies = [
        body_of(writer, lands.contract, f"e{seed}", {one.name: value_of(one.writer, seed) for one in told})
        for seed in range(3)
    ]
    messages = [as_message(GOOD, FIRST_ID, body) for body in bodies]
    for number, one in enumerate(bad, start=FIRST_ID + 1):
        schema = written(fails.contract, *fields_of([one], "writer"))
        bench.registry.schemas[number] = Registered(json.dumps(schema), ELSEWHERE)
        for seed in range(2):
            body = body_of(schema, fails.contract, f"{one.name}-{seed}", {one.name: value_of(one.writer, seed)})
            messages.append(as_message(BAD, number, body))
    bench.batch(messages)

    assert {name: worker.halted for name, worker in bench.batches.workers.items()} == {GOOD: None, BAD: None}
    assert Counter(bench.dead_letters()) == {("CDL-INCOMPATIBLE", None): 2 * len(bad)}
    rows = bench.silver(GOOD, "*", "event_id")
    assert len(rows) == len(bodies)
    for body, row in zip(bodies, rows, strict=True):
        wanted = resolved(body, writer, lands.contract.latest.wire)
        assert {one.name: plain(row[one.name]) for one in told} == {
            one.name: as_silver(one.reader, wanted[one.name]) for one in told
        }
    # Nobody can write them, and a contract that reads them takes their writers.
    check = jvm.compatible(spark)
    assert all(check(json.dumps(one.reader), json.dumps(one.writer)) for one in silent)
    assert bench.findings() == []


def plain(value: Any) -> Any:
    """Maps come as pairs in any order."""
    return sorted(value) if isinstance(value, list) and value and isinstance(value[0], tuple) else value


# A field may be called like a column of raw, or of what is told of a refused record.
RAW_NAMES = ("value", "headers", "key", "topic", "partition", "offset", "timestamp", "path")
LINE = {
    "type": "record", "name": "Line", "fields": [
        {"name": "sku", "type": "string"},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "int"}}},
        {"name": "money", "type": {"type": "record", "name": "Money", "fields": [
            {"name": "cents", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 2}},
        ]}},
    ],
}  # fmt: skip


def logical(inner: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": inner, "logicalType": name, **more}


def kinds(version: int) -> tuple[dict[str, Any], ...]:
    """Every type there is; version 2 adds a symbol, an arm, and a field in a nested record."""
    line = copy.deepcopy(LINE)
    symbols, arms = ["LOW", "HIGH"], ["null", "int", "string", "Line"]
    if version == 2:
        line["fields"].append({"name": "note", "type": ["null", "string"], "default": None})
        symbols, arms = [*symbols, "TOP"], [*arms, {"type": "array", "items": "boolean"}]
    return (
        {"name": "numbers", "type": {"type": "array", "items": "long"}},
        {"name": "lines", "type": {"type": "array", "items": line}},
        {"name": "first", "type": ["null", "Line"], "default": None},
        {"name": "any", "type": arms, "default": None},
        {"name": "whole", "type": ["int", "long"]},
        {"name": "real", "type": ["null", "float", "double"], "default": None},
        {"name": "level", "type": {"type": "enum", "name": "Level", "symbols": symbols, "default": "LOW"}},
        {"name": "price", "type": logical("bytes", "decimal", precision=38, scale=9)},
        {"name": "rate", "type": {**logical("fixed", "decimal", precision=9, scale=4), "name": "Rate", "size": 5}},
        {"name": "code", "type": {"type": "fixed", "name": "Code", "size": 3}},
        {"name": "day", "type": logical("int", "date")},
        {"name": "at_ms", "type": logical("long", "timestamp-millis")},
        {"name": "at_us", "type": logical("long", "timestamp-micros")},
        {"name": "clock_ms", "type": logical("int", "time-millis")},
        {"name": "clock_us", "type": logical("long", "time-micros")},
        {"name": "who", "type": logical("string", "uuid")},
        {"name": "flags", "type": {"type": "map", "values": ["null", "boolean"]}},
        {"name": "text_or_bytes", "type": ["null", "string", "bytes"], "default": None},
        *(contracts.field(name, "string") for name in RAW_NAMES),
    )


def line(sku: str, **more: Any) -> dict[str, Any]:
    return {"sku": sku, "tags": {"a": [1, 2]}, "money": {"cents": Decimal("-0.01")}, **more}


def in_silver(sku: str, note: str | None = None) -> dict[str, Any]:
    return {"sku": sku, "tags": [("a", [1, 2])], "money": {"cents": Decimal("-0.01")}, "note": note}


VALUES: dict[str, Any] = {
    **{name: f"own {name}" for name in RAW_NAMES},
    "numbers": [2**63 - 1, -(2**63)], "lines": [line("x"), line("y")], "first": line("z"), "whole": 2**40, "real": 0.25,
    "level": "HIGH", "price": Decimal("-12345678901234567890123456789.123456789"), "rate": Decimal("99999.9999"),
    "code": b"\x00\xff1", "day": -1, "at_ms": NOON - 1, "at_us": NOON * 1000 + 7, "clock_ms": 86_399_999, "clock_us": 1,
    "who": str(uuid.UUID(int=5)), "flags": {"yes": True, "none": None}, "text_or_bytes": b"\x01",
}  # fmt: skip


def moment(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


SEEN: dict[str, Any] = {
    **VALUES, "lines": [in_silver("x"), in_silver("y")], "first": in_silver("z"), "day": date(1969, 12, 31),
    "at_ms": moment(NOON * 1000 - 1000), "at_us": moment(NOON * 1000 + 7), "flags": [("none", None), ("yes", True)],
    "text_or_bytes": {"member_string": None, "member_bytes": b"\x01"},
}  # fmt: skip
ARMS = ("int", "string", "Line", "array")


def test_every_type_lands_and_harm_is_bounded(spark: SparkSession, offline_settings: Settings, tmp_path: Path) -> None:
    """All types and logical types under two versions; lengths without bytes behind them, schemas without a bound and
    files that are no records are dead letters, and the records beside them land."""
    [one, two] = [contracts.make(tmp_path / str(n), *(kinds(v) for v in range(1, n + 1)), id=KINDS) for n in (1, 2)]
    bench = Bench(spark, offline_settings, [Released(one, {1: 31})])
    arms: dict[str, Any] = {"int": 7, "string": "seven", "Line": line("seven"), "array": [True, False]}

    def good(name: str, version: int, **more: Any) -> Message:
        contract = bench.released[KINDS].contract
        return bench.message(
            KINDS, record(contract, version, event_id=name, tenant_id="t", **{**VALUES, **more}), version
        )

    bench.batch([good(f"1-{arm}", 1, any=arms[arm]) for arm in ARMS[:3]])
    assert bench.release(Released(two, {1: 31, 2: 32})) is False
    later = [good("2-array", 2, any=arms["array"], level="TOP", lines=[line("n", note="new")]), good("1-none", 1)]

    wire = two.latest.wire
    start = encoded(
        {"type": "record", "name": "R", "fields": wire["fields"][:4]}, record(two, event_id="b", tenant_id="t")
    )
    most = zigzag(2**31 - 9)
    tree = {"type": "record", "name": "Tree", "fields": [{"name": "below", "type": ["null", "Tree"]}]}
    shapes = {
        41: {**wire, "fields": [*wire["fields"], {"name": "tree", "type": ["null", tree]}]},
        42: {**wire, "fields": [*wire["fields"], {"name": "nothing", "type": {"type": "array", "items": "null"}}]},
        43: {**wire, "fields": [{"name": "event_id", "type": "Unheard"}]},
    }
    for number, schema in shapes.items():
        bench.registry.schemas[number] = Registered(json.dumps(schema), ELSEWHERE)
    whole = later[0].value or b""
    harm = {
        # A text, an array, an array by blocks of bytes: two thousand million of them, and nothing behind.
        "CDL-GARBAGE": [as_message(KINDS, 32, part) for part in (most, start + most, start + zigzag(3 - 2**31) + most)],
        # As deep as somebody wrote it, or as many as somebody says.
        "CDL-INCOMPATIBLE": [
            as_message(KINDS, 41, whole[5:] + zigzag(1) * 200_000),
            as_message(KINDS, 42, whole[5:] + zigzag(2**62)),
            as_message(KINDS, 43, whole[5:]),
        ],
        # Container files are no records, readable or not.
        "CDL-MAGIC": [
            Message(KINDS, b"k", (AVRO_FIXTURES / "data" / name).read_bytes())
            for name in ("syncInMeta.avro", "test.avro12")
        ],
    }  # fmt: skip
    bench.batch([*later, *(message for messages in harm.values() for message in messages)])

    assert bench.batches.workers[KINDS].halted is None
    assert Counter(code for code, _ in bench.dead_letters()) == {code: len(found) for code, found in harm.items()}
    rows = {row["event_id"]: {name: plain(row[name]) for name in (*SEEN, "any")} for row in bench.silver(KINDS)}
    shown = {**arms, "Line": in_silver("seven")}

    def seen(arm: str | None, **more: Any) -> dict[str, Any]:
        union = {f"member_{name}": shown[name] if name == arm else None for name in ARMS}
        return {**SEEN, "any": union if arm else None, **more}

    assert rows == {
        **{f"1-{arm}": seen(arm) for arm in ARMS[:3]},
        "2-array": seen("array", level="TOP", lines=[in_silver("n", "new")]),
        "1-none": seen(None),
    }
    assert bench.findings() == []
