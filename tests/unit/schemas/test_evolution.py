"""Silver grows by columns only: the numeric rule, new columns for everything else, nested fields in place."""

from pathlib import Path

import pytest

from schemas import evolution, sparktype
from schemas.contract import Contract
from schemas.errors import ContractError
from schemas.evolution import AddColumn
from schemas.load import BUILT_IN_ROOT, load_catalog
from schemas.tables import column_of, create_sql, silver_columns, silver_properties, stats_columns
from tests.support.contracts import field, make, pii


def columns(contract: Contract) -> dict[str, str]:
    """The table as Spark would describe it."""
    return {column.name: column.spark_type.lower().replace(": ", ":") for column in silver_columns(contract)}


def test_a_table_made_from_the_contract_needs_nothing() -> None:
    """Planning again after the table was made adds nothing, for every contract there is."""
    for contract in load_catalog(BUILT_IN_ROOT).values():
        assert evolution.plan(columns(contract), contract) == []


def test_a_new_field_is_a_new_column(tmp_path: Path) -> None:
    """Version 2's fields are added with their types; what was there stays."""
    before = make(tmp_path / "a", ())
    after = make(tmp_path / "b", (), (field("size", "int"), pii("contact_email", "email")))
    assert evolution.plan(columns(before), after) == [AddColumn("size", "BIGINT"), AddColumn("contact_email", "STRING")]


def test_whole_and_broken_numbers_have_one_width(tmp_path: Path) -> None:
    """int to long and float to double change no column."""
    before = make(tmp_path / "a", (field("n", "int"), field("x", "float")))
    after = make(tmp_path / "b", (field("n", "int"), field("x", "float")), (field("n", "long"), field("x", "double")))
    assert evolution.plan(columns(before), after) == []


def test_another_promotion_is_another_column(tmp_path: Path) -> None:
    """int to double goes on in n__v2; n stays for the rows that have it, and a third type gets a third column."""
    one, two, three = ((field("n", kind),) for kind in ("int", "double", "string"))
    before, after = make(tmp_path / "a", one), make(tmp_path / "b", one, two)
    assert evolution.plan(columns(before), after) == [AddColumn("n__v2", "DOUBLE")]
    last = make(tmp_path / "c", one, two, three)
    assert column_of(last, "n") == "n__v3"
    live = {column.name: column.live for column in silver_columns(last) if column.field == "n"}
    assert live == {"n": False, "n__v2": False, "n__v3": True}


def test_a_dropped_field_keeps_its_column(tmp_path: Path) -> None:
    """What a version leaves out stays in the table, no longer live; brought back, it is the same column."""
    gone = make(tmp_path / "a", (field("note", "string"),), ())
    assert {c.name: c.live for c in silver_columns(gone) if c.field == "note"} == {"note": False}
    back = make(tmp_path / "b", (field("note", "string"),), (), (field("note", "string"),))
    assert {c.name: c.live for c in silver_columns(back) if c.field == "note"} == {"note": True}


def test_nested_records_grow_in_place(tmp_path: Path) -> None:
    """A new field inside an array of records is added inside the array."""

    def lines(*fields: dict[str, object]) -> dict[str, object]:
        record = {"type": "record", "name": "Line", "fields": list(fields)}
        return field("lines", {"type": "array", "items": record})

    sku = {"name": "sku", "type": "string"}
    before = make(tmp_path / "a", (lines(sku),))
    after = make(tmp_path / "b", (lines(sku),), (lines(sku, field("weight", "float")),))
    assert evolution.plan(columns(before), after) == [AddColumn("lines.element.weight", "DOUBLE")]
    assert AddColumn("lines.element.weight", "DOUBLE").ddl == "`lines`.`element`.`weight` DOUBLE"


def test_a_foreign_table_is_refused(tmp_path: Path) -> None:
    """A column with a type that the contract cannot have given it is an error, never silently cast into."""
    contract = make(tmp_path, (field("n", "int"),))
    with pytest.raises(ContractError, match="CDL-CONTRACT-TABLE"):
        evolution.plan({**columns(contract), "n": "string"}, contract)


def test_types_are_read_as_spark_writes_them() -> None:
    """Spark's own spelling and ours are one type."""
    text = "array<struct<a:bigint,b:map<string,decimal(18,2)>,c:struct<d:array<string>>>>"
    ours = "ARRAY<STRUCT<a: BIGINT, b: MAP<STRING, DECIMAL(18,2)>, c: STRUCT<d: ARRAY<STRING>>>>"
    assert sparktype.parse(text) == sparktype.parse(ours)
    assert sparktype.parse(text).sql() == ours
    for broken in ("", "array<", "array<int", "struct<a>", "map<string>", "int>"):
        with pytest.raises(sparktype.NoSparkType):
            sparktype.parse(broken)


def test_personal_columns_stay_out_of_statistics() -> None:
    """No mask has its minimum and maximum kept in Delta's log, and every clustered column has."""
    for contract in load_catalog(BUILT_IN_ROOT).values():
        personal = {item.name for item in contract.pii_fields}
        assert not personal & set(stats_columns(contract))
        assert {*contract.key, contract.event_id, contract.event_time, contract.tenant} <= set(stats_columns(contract))


def test_the_ddl_of_a_silver_table() -> None:
    """Columns, clustering and properties are all in the statement, and it may run twice."""
    contract = load_catalog(BUILT_IN_ROOT)["commerce.refund"]
    ddl = create_sql("/lake/x", silver_columns(contract), ("created_at",), silver_properties(contract))
    assert ddl.startswith("CREATE TABLE IF NOT EXISTS delta.`/lake/x` (")
    assert "`event_id` STRING NOT NULL" in ddl
    assert "`lines` ARRAY<STRUCT<line_id: STRING, quantity: BIGINT, subtotal: DECIMAL(18,2)>>" in ddl
    assert "`note` STRING,\n" in ddl
    assert "CLUSTER BY (`created_at`)" in ddl
    assert "'delta.enableDeletionVectors' = 'true'" in ddl
    assert "'delta.logRetentionDuration' = 'interval 7 days'" in ddl
