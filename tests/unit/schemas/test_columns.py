"""AUTO CDC's lists of columns: what silver leaves out, what starts a version, and what the linter says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas import odcs, read
from schemas.contract import Contract
from schemas.document import Document
from schemas.lint import lint
from schemas.tables import history_columns, silver_columns
from schemas.tracked import tracked_columns
from streaming.tables import identity
from tests.support import contracts
from tests.support.change_contracts import FIELDS, YAML
from tests.support.contracts import field, pii

MORE = (*FIELDS, pii("phone", "phone"), field("card_number", "string"))
REFS = "subject: {kind: customer, by: [b]}\nrefs: {card: card_number}\n"


def made(root: Path, extra: str, yaml: str = YAML) -> Contract:
    return contracts.make(root, MORE, id="tests.row", yaml=yaml + extra, name="Row")


def test_what_is_left_out_has_no_column(tmp_path: Path) -> None:
    """Neither in silver nor in its history; its ref stays. The lists survive the contracts topic."""
    contract = made(tmp_path, REFS + "except_column_list: [phone, card_number]\n")
    names = {column.name for column in silver_columns(contract)}
    assert not {"phone", "card_number"} & {*names, *(column.name for column in history_columns(contract))}
    assert {"a", "b", "card_ref"} <= names
    assert read.contract(Document(Path("again"), read.record(contract), {})).except_column_list == (
        "phone", "card_number"
    )  # fmt: skip
    [schema] = odcs.export(contract)["schema"]
    assert {p["name"] for p in schema["properties"] if "physicalName" not in p} == {"phone", "card_number"}
    assert [f for f in lint(contract) if f.severity == "error"] == []


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ("", set()),
        ("track_history_column_list: [a]\n", {"a"}),
        ("track_history_column_list: [a, card_number]\n", {"a", "card_number", "card_ref"}),
        ("track_history_except_column_list: [a]\n", {"b", "phone", "card_number", "card_ref", "subject_ref"}),
        ("track_history_except_column_list: [b, card_number]\n", {"a", "phone"}),
        ("track_history_except_column_list: [a]\nexcept_column_list: [card_number]\n",
         {"b", "phone", "card_ref", "subject_ref"}),
    ],
)  # fmt: skip
def test_what_counts(tmp_path: Path, extra: str, wanted: set[str]) -> None:
    """Named columns, or all but those, with the refs that are found by them; never what says which change it is."""
    assert set(tracked_columns(made(tmp_path, REFS + extra))) == wanted


def test_another_list_is_another_identity(tmp_path: Path) -> None:
    """A table's versions were told by what counted then; without a list the text is what it always was."""
    lists = ("", "track_history_column_list: [a]\n", "track_history_except_column_list: [a]\n",
             "track_history_except_column_list: [a]\nexcept_column_list: [phone]\n")  # fmt: skip
    told = [identity(made(tmp_path, extra)) for extra in lists]
    assert len(set(told)) == len(lists)
    assert told[0].endswith("by (_sequence BIGINT)")
    assert identity(made(tmp_path, "except_column_list: [phone]\n")) == told[0]


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("except_column_list: [event_id]\n", "`event_id` says which row"),
        ("except_column_list: [_op]\n", "`_op` says which row"),
        ("except_column_list: [a]\n", "rule NOT_BAD reads `a`"),
        ("track_history_column_list: [_sequence]\n", "`_sequence` says which row"),
        ("track_history_column_list: [a]\ntrack_history_except_column_list: [b]\n", "either what counts"),
        ("track_history_column_list: [phone]\nexcept_column_list: [phone]\n", "`phone` is not stored"),
        ("track_history_except_column_list: [a, b, phone, card_number]\n", "no column is left"),
        ("track_history_column_list: [a]\nignore_null_updates: true\n", "partial changes"),
    ],
)
def test_lists_without_a_meaning_are_refused(tmp_path: Path, extra: str, says: str) -> None:
    found = [f.message for f in lint(made(tmp_path, extra)) if f.severity == "error"]
    assert any(says in message for message in found), found


def test_lists_are_for_change_records_with_a_history(tmp_path: Path) -> None:
    upsert = made(tmp_path / "u", "except_column_list: [b]\n", YAML.replace("mode: cdc", "mode: upsert"))
    assert any("is for change records" in f.message for f in lint(upsert))
    plain = made(tmp_path / "p", "track_history_column_list: [a]\n", YAML.replace("history: true\n", ""))
    assert any("needs a history" in f.message for f in lint(plain))
