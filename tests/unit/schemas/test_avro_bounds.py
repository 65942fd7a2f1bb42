"""Schemas of which a few bytes could ask for any amount of memory, and those that only look like it."""

from typing import Any

import pytest

from schemas.avro_bounds import unbounded
from schemas.sparktype import NoSparkType, of


def record(name: str, *kinds: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": f"f{i}", "type": kind} for i, kind in enumerate(kinds)]}


NOTHING = record("Nothing")


@pytest.mark.parametrize(
    "schema",
    [
        record("R", ["null", "R"]),
        record("R", {"type": "array", "items": "R"}),
        record("R", record("S", ["null", "R"])),
        record("R", record("S", "string"), record("T", {"type": "map", "values": ["null", "T"]})),
        {"type": "array", "items": "null"},
        {"type": "array", "items": NOTHING},
        record("R", NOTHING, {"type": "array", "items": {"type": "array", "items": "Nothing"}}),
        {"type": "array", "items": record("R", "null", {"type": "fixed", "name": "F", "size": 0})},
    ],
)
def test_what_has_no_bound(schema: Any) -> None:
    assert unbounded(schema) is not None


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        NOTHING,
        record("R", record("S", "int"), "S", ["null", "S"], {"type": "array", "items": "S"}),
        {"type": "map", "values": "null"},
        {"type": "array", "items": ["null", NOTHING]},
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 1}},
        {**record("R", {**record("R", "int"), "namespace": "other"}), "namespace": "one"},
    ],
)
def test_what_has_one(schema: Any) -> None:
    assert unbounded(schema) is None


@pytest.mark.parametrize(
    ("union", "wanted"),
    [
        (["null", "string"], "STRING"),
        (["long", "int"], "BIGINT"),
        (["null", "float", "double"], "DOUBLE"),
        (["int", "string"], "STRUCT<member_int: BIGINT, member_string: STRING>"),
        (["null", "boolean", {"type": "array", "items": "int"}, record("n.R", "long")],
         "STRUCT<member_boolean: BOOLEAN, member_array: ARRAY<BIGINT>, member_R: STRUCT<f0: BIGINT>>"),
    ],
)  # fmt: skip
def test_a_union_is_a_struct_of_its_arms(union: Any, wanted: str) -> None:
    assert of(union, {}).sql() == wanted


@pytest.mark.parametrize("union", [[], ["null"], [record("a.R", "int"), record("b.R", "int")], [NOTHING, "int"]])
def test_unions_without_a_column(union: Any) -> None:
    with pytest.raises(NoSparkType):
        of(union, {})
