"""The views that hold a cycle to its versions."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from batch import pins
from batch.pins import NEVER, Pin
from caudal.lake import Lake, LocalLake
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


def test_a_contract_with_history_has_a_second_table() -> None:
    """Each version of a row is pinned like the rows, with the time it held."""
    contract = load_catalog(ROOT / "schemas" / "contracts")["payments.account"]
    rows, history = pins.tables([contract])
    assert (rows.name, history.name) == ("payments_account", "payments_account_history")
    assert {"_valid_from", "_valid_to", "_current"} == {c.name for c in history.columns} - {
        c.name for c in rows.columns
    }


def test_only_tables_whose_rows_are_replaced_have_a_state_before() -> None:
    """Events never change, so nobody asks what they were."""
    catalog = load_catalog(ROOT / "schemas" / "contracts")
    names = {table.name for table in pins.replaced(catalog.values())}
    assert names == {"commerce_customer", "commerce_order", "payments_account"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake whose silver table of orders has three versions; the last one brought a column."""
    lake = LocalLake(str(tmp_path))
    path = lake.table("silver", "commerce_order")
    for rows in ({"order_id": ["1"]}, {"order_id": ["2"]}, {"order_id": ["3"], "total": [1]}):
        write_deltalake(path, pa.table(rows), mode="append", schema_mode="merge")
    return lake


def test_the_state_before_has_the_columns_of_then(lake: Lake) -> None:
    """A view of an older version names no column that came later."""
    heads = pins.Heads(lake)
    assert heads.before({"commerce_order": 1}, ["commerce_order"]) == {
        "commerce_order": Pin("commerce_order", 1, frozenset({"order_id"}))
    }
    assert heads.before({}, ["commerce_order"]) == {"commerce_order": Pin("commerce_order", NEVER)}
    assert heads.before({}, []) == {}


def test_a_state_that_cannot_be_read_any_more_is_no_state(lake: Lake) -> None:
    """Then gold is made anew, which needs none."""
    assert pins.Heads(lake).before({"commerce_order": 9}, ["commerce_order"]) is None


def test_rows_by_version_tell_all_as_long_as_silver_only_grew(lake: Lake) -> None:
    """Appends and merges leave a row of a newer version; also when nothing was written, or the table is new."""
    now = {"commerce_order": Pin("commerce_order", 2)}
    assert pins.grew(lake, {"commerce_order": 0}, now)
    assert pins.grew(lake, {"commerce_order": 2}, now)
    assert pins.grew(lake, {}, now)


def test_rows_that_left_are_seen_by_the_commit_that_took_them(lake: Lake) -> None:
    """Retention deletes rows without a trace; a pin before that commit or behind it is not concerned."""
    DeltaTable(lake.table("silver", "commerce_order")).delete("order_id = '1'")
    after = {"commerce_order": Pin("commerce_order", 3)}
    assert not pins.grew(lake, {"commerce_order": 1}, after)
    assert pins.grew(lake, {"commerce_order": 1}, {"commerce_order": Pin("commerce_order", 2)})
    assert pins.grew(lake, {"commerce_order": 3}, after)


def test_a_restore_takes_rows_away_too(lake: Lake) -> None:
    """What silver went back behind may be in gold."""
    DeltaTable(lake.table("silver", "commerce_order")).restore(1)
    assert not pins.grew(lake, {"commerce_order": 2}, {"commerce_order": Pin("commerce_order", 3)})


def test_a_log_that_was_cut_tells_nothing(lake: Lake) -> None:
    """Table care cuts logs; a batch process that was away for longer builds anew."""
    lake.delete(f"silver/commerce_order/_delta_log/{1:020}.json")
    assert not pins.grew(lake, {"commerce_order": 0}, {"commerce_order": Pin("commerce_order", 2)})
    assert pins.grew(lake, {"commerce_order": 1}, {"commerce_order": Pin("commerce_order", 2)})


def test_an_operation_is_read_wherever_it_stands_in_the_commit(lake: Lake) -> None:
    """Writers put the line that names it first or last."""
    lines = [json.dumps({"add": {"path": "x"}}), json.dumps({"commitInfo": {"operation": "DELETE"}})]
    lake.write_atomic(f"silver/commerce_order/_delta_log/{3:020}.json", "\n".join(lines).encode())
    assert not pins.grew(lake, {"commerce_order": 2}, {"commerce_order": Pin("commerce_order", 3)})


def test_what_streaming_writes_about_its_work_is_pinned_like_silver(tmp_path: Path) -> None:
    """Marts of operations read the ledger and the dead letters at one version, and are empty before there are any."""
    lake = LocalLake(str(tmp_path))
    found = pins.Heads(lake).look([])
    assert {table.name for table in pins.OPERATIONS} == set(found)
    texts = [pins.view_sql(table, found[table.name], lake) for table in pins.OPERATIONS]
    assert all(text.endswith("where false") for text in texts)
