"""Compatibility of schemas is what the Avro specification says, and the seven levels are built on it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.compare import check, compatible

FIXTURE = Path(__file__).parents[2] / "fixtures" / "avro-apache" / "compat_vectors.jsonl"
VECTORS = [json.loads(line) for line in FIXTURE.read_text(encoding="utf-8").splitlines()]

V1 = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}
V2 = {"type": "record", "name": "R", "fields": [*V1["fields"], {"name": "b", "type": "string", "default": ""}]}
V3 = {"type": "record", "name": "R", "fields": [*V1["fields"], {"name": "b", "type": "string"}]}


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields)}


def test_the_vectors_are_all_there() -> None:
    """The suite judges all 131 pairs of Apache's own tests, 70 of them compatible."""
    assert (len(VECTORS), sum(v["compatible"] for v in VECTORS)) == (131, 70)


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_apaches_vectors(vector: dict[str, Any]) -> None:
    """Each pair gets Apache's verdict."""
    found = compatible(vector["reader"], vector["writer"])
    assert vector["compatible"] is (not found), found


@pytest.mark.parametrize("vector", [v for v in VECTORS if not v["compatible"] and len(v["messages"]) == 1])
def test_the_kind_of_incompatibility_is_named(vector: dict[str, Any]) -> None:
    """A pair with one fault is reported with that one fault, under Avro's name for it."""
    kinds = {item.kind for item in compatible(vector["reader"], vector["writer"])}
    if vector["test"].startswith("test_schema_compatibility_"):
        assert kinds == {vector["test"].removeprefix("test_schema_compatibility_").upper()}


@pytest.mark.parametrize(
    ("level", "new", "olds", "fits"),
    [
        ("NONE", "string", ["int"], True),
        ("BACKWARD", V2, [V1], True),
        ("BACKWARD", V3, [V1], False),
        ("BACKWARD", V3, [V1, V2], True),
        ("BACKWARD_TRANSITIVE", V3, [V1, V2], False),
        ("BACKWARD", V1, [V3], True),
        ("FORWARD", V3, [V1], True),
        ("FORWARD", V1, [V3], False),
        ("FORWARD", V1, [V3, V2], True),
        ("FORWARD_TRANSITIVE", V1, [V3, V2], False),
        ("FULL", V2, [V1], True),
        ("FULL", V3, [V1], False),
        ("FULL", V1, [V3], False),
        ("FULL", V3, [V1, V2], True),
        ("FULL_TRANSITIVE", V3, [V1, V2], False),
        ("FULL_TRANSITIVE", V2, [V1, V1], True),
        ("BACKWARD", V2, [], True),
    ],
)
def test_the_seven_levels(level: str, new: Any, olds: list[Any], fits: bool) -> None:
    """A level judges the last old schema or, when transitive, all of them, in its direction."""
    assert fits is (not check(level, new, olds))


def test_an_unknown_level_is_refused() -> None:
    """A level that does not exist is an error, never silently no check."""
    with pytest.raises(ValueError, match="unknown compatibility level"):
        check("SIDEWAYS", V1, [V1])


def test_a_recursive_schema_is_compared_once() -> None:
    """A record that contains itself is compatible with itself, and a fault inside is found."""

    def node(kind: str) -> dict[str, Any]:
        return record({"name": "value", "type": kind}, {"name": "next", "type": ["null", "R"], "default": None})

    assert compatible(node("long"), node("long")) == []
    assert compatible(node("long"), node("int")) == []
    assert [item.path for item in compatible(node("int"), node("long"))] == ["/fields/0/type"]


def test_decimals_match_only_in_precision_and_scale() -> None:
    """Another scale would move every amount by a power of ten, so it is incompatible."""

    def money(scale: int) -> dict[str, Any]:
        return {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": scale}

    assert compatible(money(2), money(2)) == []
    assert [item.kind for item in compatible(money(4), money(2))] == ["DECIMAL_MISMATCH"]


def test_references_resolve_in_their_name_space() -> None:
    """A type named once and used by name twice is the same type, in the name space around it."""
    inner = {"type": "record", "name": "In", "fields": [{"name": "x", "type": "int"}]}
    schema = {**record({"name": "a", "type": inner}, {"name": "b", "type": "In"}), "namespace": "n.s"}
    assert compatible(schema, schema) == []


def schemas() -> st.SearchStrategy[Any]:
    leaves = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            inner.map(lambda s: {"type": "array", "items": s}), inner.map(lambda s: {"type": "map", "values": s})
        ),
        max_leaves=4,
    )


@given(schemas())
def test_every_schema_reads_itself(schema: Any) -> None:
    """Whatever was written with a schema can be read with it."""
    assert compatible(schema, schema) == []


@given(schemas(), schemas())
def test_a_nullable_reader_reads_what_the_plain_one_reads(reader: Any, writer: Any) -> None:
    """Making a reader's type nullable never loses a writer it could read."""
    if reader != "null" and not compatible(reader, writer):
        assert compatible(["null", reader], writer) == []
