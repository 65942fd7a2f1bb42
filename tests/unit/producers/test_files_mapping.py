"""The YAML file that turns rows of files into events."""

from decimal import Decimal
from pathlib import Path

import pytest

from producers.files.errors import MappingError, RowError
from producers.files.mapping import compile_mapping, load

TEXT = """
contract: commerce.refund
from: in/refunds
files: "*.csv"
format: csv
name: refunds
fields:
  refund_id: id
  shop_id: {value: loja-1}
  event_id: {hash: [id, changed]}
  amount: {from: price, type: decimal}
  restock: {from: back, type: boolean}
  created_at: {from: changed, type: time, format: "%Y-%m-%d %H:%M:%S", zone: America/Sao_Paulo}
  lines: {value: []}
  note: customer.note
"""


def test_a_row_becomes_an_event(tmp_path: Path) -> None:
    """Columns, constants, hashes, types, zones and nested names do what the mapping says."""
    file = tmp_path / "refunds.yml"
    file.write_text(TEXT, encoding="utf-8")
    row = {"id": "7", "price": "12.90", "back": "yes", "changed": "2018-01-31 10:00:00", "customer": {"note": "broken"}}
    event = compile_mapping(load(file))(row)
    identity = event.pop("event_id")
    assert event == {
        "refund_id": "7",
        "shop_id": "loja-1",
        "amount": Decimal("12.90"),
        "restock": True,
        # Summer time of São Paulo: two hours behind.
        "created_at": 1_517_400_000_000,
        "lines": [],
        "note": "broken",
    }
    assert identity == compile_mapping(load(file))(row)["event_id"]


@pytest.mark.parametrize(
    ("column", "value"), [("price", "much"), ("back", "perhaps"), ("changed", "31/01/2018"), ("changed", True)]
)
def test_a_bad_value_names_its_column(tmp_path: Path, column: str, value: object) -> None:
    """The error holds the column and no value; an empty value is simply missing."""
    file = tmp_path / "refunds.yml"
    file.write_text(TEXT, encoding="utf-8")
    event = compile_mapping(load(file))
    with pytest.raises(RowError) as caught:
        event({"id": "7", column: value})
    assert (column, "CDL-SHAPE") == (caught.value.path, caught.value.code)
    assert str(value) not in str(caught.value)
    assert event({"id": "7", column: ""})["amount"] is None


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("format: csv|format: xml", "format"),
        ("name: refunds|colour: red", "name"),
        ("refund_id: id|refund_id: {from: id, value: 3}", "fields.refund_id"),
        ("zone: America/Sao_Paulo|zone: Nowhere/City", "fields.created_at"),
    ],
)
def test_a_bad_mapping_says_where(tmp_path: Path, change: str, place: str) -> None:
    """A mapping that does not fit is refused with the place in the file."""
    file = tmp_path / "refunds.yml"
    file.write_text(TEXT.replace(*change.split("|")), encoding="utf-8")
    with pytest.raises(MappingError) as caught:
        load(file)
    assert place in caught.value.where
