"""Validation: every Avro type in its canonical form, refusals by code and path, never by value."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.encode import compile_encoder, decode, message_key
from producers.validate import compile_validator
from producers.validate_values import Invalid

MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}


def schema(**fields: object) -> dict[str, object]:
    return {
        "type": "record",
        "name": "test.Event",
        "fields": [{"name": name, "type": kind} for name, kind in fields.items()],
    }


def check(kind: object, value: object) -> object:
    return compile_validator(schema(x=kind))({"x": value})["x"]


def refusal(event: object, **fields: object) -> tuple[str, str]:
    with pytest.raises(Invalid) as caught:
        compile_validator(schema(**fields))(event)  # type: ignore[arg-type]
    return caught.value.code, caught.value.path


@pytest.mark.parametrize(
    ("kind", "value", "canonical"),
    [
        ("string", "é", "é"),
        ("int", 2**31 - 1, 2**31 - 1),
        ("long", -(2**63), -(2**63)),
        ("double", 3, 3.0),
        ("double", Decimal("0.5"), 0.5),
        ("boolean", True, True),
        ("bytes", b"x", b"x"),
        (MONEY, "10.50", Decimal("10.50")),
        (MONEY, 0.1, Decimal("0.1")),
        (MONEY, -7, Decimal(-7)),
        (MONEY, "1.5000000000000000000000", Decimal("1.50")),
        (MONEY, "0E+999999", Decimal(0)),
        (MONEY, "9999999999999999.99", Decimal("9999999999999999.99")),
        (MILLIS, 1_700_000_000_000, 1_700_000_000_000),
        (MILLIS, "2023-11-14T22:13:20.123456Z", 1_700_000_000_123),
        (MILLIS, datetime(2023, 11, 14, 19, 13, 20, tzinfo=timezone(timedelta(hours=-3))), 1_700_000_000_000),
        ({"type": "long", "logicalType": "timestamp-micros"}, "2023-11-14T22:13:20.000001Z", 1_700_000_000_000_001),
        ({"type": "int", "logicalType": "date"}, "1970-01-02", 1),
        ({"type": "int", "logicalType": "date"}, date(1969, 12, 31), -1),
        ({"type": "enum", "name": "E", "symbols": ["a", "b"]}, "b", "b"),
        ({"type": "array", "items": "string"}, ("a", "b"), ["a", "b"]),
        ({"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
        ({"type": "fixed", "name": "F", "size": 2}, b"ab", b"ab"),
        (["null", "string"], None, None),
        (["null", "string", "long"], 5, 5),
    ],
)
def test_values_that_fit(kind: object, value: object, canonical: object):
    """A value of each type comes out in its canonical form."""
    assert check(kind, value) == canonical


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 11144477735),
        ("string", b"x"),
        ("string", "\ud800"),
        ("int", 2**31),
        ("int", True),
        ("int", 1.0),
        ("long", 2**63),
        ("double", math.nan),
        ("double", 10**400),
        ("double", "1"),
        ("boolean", 1),
        ("bytes", "x"),
        (MONEY, "1.005"),
        (MONEY, "1.00000000000000000000000000000000000001"),
        (MONEY, "10000000000000000"),
        (MONEY, "1E+999999"),
        (MONEY, "NaN"),
        (MONEY, "ten"),
        (MONEY, True),
        (MILLIS, datetime(2023, 1, 1)),  # a naive time is what must be refused
        (MILLIS, "2023-01-01"),
        (MILLIS, 1_700_000_000_000_000_000),
        (MILLIS, "yesterday"),
        ({"type": "int", "logicalType": "date"}, "1970-13-01"),
        ({"type": "enum", "name": "E", "symbols": ["a"]}, "b"),
        ({"type": "array", "items": "string"}, "ab"),
        ({"type": "map", "values": "long"}, [1]),
        ({"type": "fixed", "name": "F", "size": 2}, b"abc"),
        (["null", "string", "long"], 0.5),
    ],
)
def test_values_that_do_not_fit(kind: object, value: object):
    """A value of another type is CDL-TYPE with the field's path; a number is never taken for text or rounded."""
    assert refusal({"x": value}, x=kind) == ("CDL-TYPE", "x")


def test_missing_and_unknown_fields():
    """A required field must be there, a nullable one may be left out, an unknown one is refused."""
    assert compile_validator(schema(a="string", b=["null", "long"]))({"a": "x"}) == {"a": "x", "b": None}
    assert refusal({}, a="string") == ("CDL-NO-FIELD", "a")
    assert refusal({"a": None}, a="string") == ("CDL-NO-FIELD", "a")
    assert refusal({"a": "x", "b": 1}, a="string") == ("CDL-UNKNOWN-FIELD", "b")
    assert refusal([], a="string") == ("CDL-TYPE", "")


def test_an_unknown_field_name_that_looks_like_data_is_not_repeated():
    """A value in the place of a field's name does not reach the error."""
    assert refusal({"11144477735": 1}, a="string") == ("CDL-UNKNOWN-FIELD", "?")


def test_paths_lead_into_lists_records_and_maps():
    """The path of a refusal names record, position and field; keys of a map are data and stay out."""
    line = {"type": "record", "name": "Line", "fields": [{"name": "price", "type": MONEY}]}
    lines = {"type": "array", "items": line}
    assert refusal({"lines": [{"price": 1}, {"price": "x"}]}, lines=lines) == ("CDL-TYPE", "lines[1].price")
    assert refusal({"lines": [{}]}, lines=lines) == ("CDL-NO-FIELD", "lines[0].price")
    assert refusal({"lines": [None]}, lines=lines) == ("CDL-NO-FIELD", "lines[0]")
    assert refusal({"m": {"ana@x.io": "y"}}, m={"type": "map", "values": "long"}) == ("CDL-TYPE", "m.*")


def test_named_and_recursive_types():
    """A type that refers to itself or to an earlier one is followed by name."""
    node = {
        "type": "record",
        "name": "Node",
        "namespace": "test",
        "fields": [{"name": "next", "type": ["null", "Node"], "default": None}],
    }
    valid = compile_validator(schema(a=node, b="Node"))
    assert valid({"a": {"next": {"next": None}}, "b": {}}) == {"a": {"next": {"next": None}}, "b": {"next": None}}


def test_defaults_are_filled_in_canonically():
    """A default of money is a Decimal, not Avro's text of bytes."""
    fields = [
        {"name": "m", "type": MONEY, "default": "\u0004\u00d2"},
        {"name": "s", "type": "string", "default": "x"},
    ]
    valid = compile_validator({"type": "record", "name": "test.D", "fields": fields})
    assert valid({}) == {"m": Decimal("12.34"), "s": "x"}


@given(
    st.fixed_dictionaries(
        {
            "s": st.text(alphabet=st.characters(codec="utf-8")),
            "n": st.integers(-(2**63), 2**63 - 1),
            "m": st.decimals(-(10**15), 10**15, places=2, allow_nan=False),
            "t": st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
            "l": st.lists(st.text(alphabet=st.characters(codec="utf-8")), max_size=3),
        }
    )
)
def test_what_is_valid_can_be_encoded_and_read_back(event: dict[str, object]):
    """Every event that passes encodes, and reads back equal to its canonical form, behind the registry id."""
    avsc = schema(s="string", n="long", m=MONEY, t=MILLIS, l={"type": "array", "items": "string"})
    canonical = compile_validator(avsc)(event)
    registry_id, read = decode(compile_encoder(avsc, 77)(canonical), avsc)
    read["t"] = int(read["t"].timestamp() * 1000 + 0.5) if read["t"].microsecond else int(read["t"].timestamp() * 1000)
    assert registry_id == 77
    assert abs(read.pop("t") - canonical.pop("t")) <= 1
    assert read == canonical


def test_framing_and_key_are_exact():
    """The frame is one zero byte and a big-endian id; the key is JSON without spaces, in UTF-8."""
    avsc = schema(a="string")
    assert compile_encoder(avsc, 258)({"a": "x"}) == b"\x00\x00\x00\x01\x02\x02x"
    assert message_key(["loja-é", 7]) == '["loja-é",7]'.encode()
    with pytest.raises(ValueError, match="magic"):
        decode(b"\x01\x00\x00\x00\x01", avsc)
    assert fastavro.parse_schema(avsc, named_schemas={})["name"] == "test.Event"
