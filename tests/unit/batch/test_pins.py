"""The views that hold a cycle to its versions."""

from __future__ import annotations

from pathlib import Path

from batch import pins
from batch.pins import NEVER, Pin
from caudal.lake import LocalLake
from schemas.load import load_catalog

ROOT = Path(__file__).resolve().parents[3]


def test_a_table_that_is_not_there_is_an_empty_view_of_the_contracts_shape(tmp_path: Path) -> None:
    """Every model builds from the first cycle on, whatever streaming has created so far."""
    lake = LocalLake(str(tmp_path))
    contract = load_catalog(ROOT / "schemas" / "contracts")["commerce.order"]
    pin = pins.Heads(lake).look([contract])[contract.table]
    [table] = pins.tables([contract])
    text = pins.view_sql(table, pin, lake)
    assert Pin("commerce_order", NEVER) == pin
    assert "cast(null as DECIMAL(18,2)) as `total`" in text
    assert text.endswith("where false")


def test_a_column_that_the_table_does_not_have_yet_is_null(tmp_path: Path) -> None:
    """A contract version that was just released does not have to wait for the first row of its kind."""
    lake = LocalLake(str(tmp_path))
    contract = load_catalog(ROOT / "schemas" / "contracts")["commerce.order"]
    [table] = pins.tables([contract])
    text = pins.view_sql(table, Pin("commerce_order", 7, frozenset({"order_id"})), lake)
    assert "`order_id`," in text
    assert "cast(null as STRING) as `shop_id`" in text
    assert text.endswith("version as of 7")


def test_the_pins_view_knows_what_published_gold_holds() -> None:
    """A table that gold has never seen is older than any version."""
    text = pins.pins_sql({"a": Pin("a", 5), "b": Pin("b", NEVER)}, {"a": 3})
    assert "('a', bigint(5), bigint(3))" in text
    assert "('b', bigint(-1), bigint(-1))" in text
    assert pins.versions({"a": Pin("a", 5), "b": Pin("b", NEVER)}) == {"a": 5}


def test_what_streaming_writes_about_its_work_is_pinned_like_silver(tmp_path: Path) -> None:
    """Marts of operations read the ledger and the dead letters at one version, and are empty before there are any."""
    lake = LocalLake(str(tmp_path))
    found = pins.Heads(lake).look([])
    assert {table.name for table in pins.OPERATIONS} == set(found)
    texts = [pins.view_sql(table, found[table.name], lake) for table in pins.OPERATIONS]
    assert all(text.endswith("where false") for text in texts)
