"""Differences between two forms of a contract, against what a person would say."""

from dataclasses import replace
from pathlib import Path

from schemas.contract import Rule
from schemas.diff import diff
from tests.support.contracts import YAML, field, make, pii


def told(found: object) -> set[tuple[str, str, str]]:
    return {(change.verb, change.kind, change.name) for change in found.changes}  # type: ignore[attr-defined]


def test_a_contract_of_its_own_is_no_change(tmp_path: Path) -> None:
    contract = make(tmp_path, (field("n", "int"),))
    assert (diff(contract, contract).changes, diff(contract, contract).verdict) == ((), "none")


def test_what_was_never_released_is_all_new(tmp_path: Path) -> None:
    """Every field and every column, the ones of the lake included."""
    found = diff(None, make(tmp_path, (pii("email", "email"),)))
    assert found.verdict == "pending"
    assert {("added", "field", "email"), ("added", "column", "email"), ("added", "column", "_offset")} <= told(found)


def test_another_type_is_another_column(tmp_path: Path) -> None:
    """A field that goes away leaves its column unfilled; one that the column cannot follow gets a column beside it."""
    contract = make(
        tmp_path, (field("size", "string"), field("gone", "string")), (field("size", "int"),),
        yaml=YAML + "evolution: {compatibility: NONE}\n",
    )  # fmt: skip
    found = diff(replace(contract, versions=contract.versions[:1]), contract)
    assert told(found) == {
        ("added", "version", "2"),
        ("changed", "field", "size"),
        ("removed", "field", "gone"),
        ("added", "column", "size__v2"),
        ("changed", "column", "size"),
        ("changed", "column", "gone"),
    }


def test_a_rule_and_a_setting_are_changes(tmp_path: Path) -> None:
    contract = make(tmp_path, (field("n", "int"),))
    later = replace(contract, owner="others", quality=(Rule("NEG", "n >= 0"),))
    found = diff(contract, later)
    assert (told(found), found.verdict) == ({("changed", "setting", "owner"), ("added", "rule", "NEG")}, "pending")


def test_what_an_apply_would_refuse_is_breaking(tmp_path: Path) -> None:
    """A released version with another text, and a key that moves."""
    released = make(tmp_path / "a", (field("n", "int"),))
    changed = make(tmp_path / "b", (field("n", "long"),))
    assert diff(released, changed).verdict == "breaking"
    assert diff(released, replace(released, tenant="thing_id")).verdict == "breaking"
