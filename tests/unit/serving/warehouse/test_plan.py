"""What moves, in which shape, and along which stretch of the log."""

from __future__ import annotations

import json
from decimal import Decimal

import pyarrow as pa
import pytest

from schemas.manifest import Group, Manifest, TableVersion
from serving.warehouse import reconcile
from serving.warehouse.changes import File, Version, difference, differing, is_layout, runs
from serving.warehouse.errors import NoType, Unreconciled
from serving.warehouse.plan import Declared, Known, plan
from serving.warehouse.shape import Shape, shape

DECLARED = {name: Declared(name) for name in ("a", "b", "c")}


def manifest(**versions: int) -> Manifest:
    tables = {name: TableVersion(f"gold/{name}", "id", version, 1) for name, version in versions.items()}
    return Manifest(7, {"live": Group("c1", 1, {}, tables)})


def names(found: object) -> list[str]:
    return [one.declared.name for one in found]  # type: ignore[attr-defined]


def test_only_moved_marts_are_copied() -> None:
    """By version and by table; what left the manifest goes, what nobody declares is not copied."""
    known = {"a": Known(1, "id"), "b": Known(2, "other"), "gone": Known(1, "id")}
    found = plan(manifest(a=1, b=2, c=1, secret=1), known, DECLARED)
    assert (names(found.moved), names(found.same)) == (["b", "c"], ["a"])
    assert (found.dropped, found.undeclared) == (("gone",), ("secret",))


def test_a_mart_may_be_copied_though_it_did_not_move() -> None:
    """By name, or all of them."""
    known = {"a": Known(1, "id"), "b": Known(1, "id")}
    assert names(plan(manifest(a=1, b=1), known, DECLARED, {"b"}).moved) == ["b"]
    assert names(plan(manifest(a=1, b=1), known, DECLARED, None).moved) == ["a", "b"]


@pytest.mark.parametrize(
    ("layouts", "expected"),
    [((), [(3, 6)]), ((6,), [(3, 5)]), ((4,), [(4, 6)]), ((5,), [(3, 4), (5, 6)]), ((4, 5, 6), [])],
)
def test_commits_that_change_no_row_are_stepped_over(layouts: tuple[int, ...], expected: list[tuple[int, int]]) -> None:
    """Each stretch begins at the version before its first change."""
    assert runs(3, 6, layouts) == expected


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ([{"add": {"dataChange": False}}, {"remove": {"dataChange": False}}], True),
        ([{"add": {"dataChange": False}}, {"remove": {"dataChange": True}}], False),
        ([{"commitInfo": {"operation": "OPTIMIZE"}}, {"add": {"dataChange": True}}], False),
        ([{"commitInfo": {"operation": "SET TBLPROPERTIES"}}], True),
    ],
)
def test_a_commit_says_itself_whether_rows_changed(actions: list[dict[str, object]], expected: bool) -> None:
    """By what it says of its files, not by the name of its operation."""
    assert is_layout("\n".join(map(json.dumps, actions)).encode()) is expected


def vector(*keep: bool) -> pa.BooleanArray:
    return pa.array(keep, pa.bool_())


def version(*files: File) -> Version:
    return Version(None, {file.path: file for file in files}, None)  # type: ignore[arg-type]


def test_files_in_the_same_state_are_not_read() -> None:
    """A file of both versions differs by the rows that only one of their vectors keeps."""
    old = version(File("same", 1, vector(True, False)), File("cut", 2), File("back", 3, vector(False)), File("old", 4))
    new = version(
        File("same", 1, vector(True, False)), File("cut", 2, vector(True, False)), File("back", 3), File("new", 5)
    )
    gone, came = differing(old, new)
    assert {file.path: file.keep and file.keep.to_pylist() for file in gone if file.path != "old"} == {
        "cut": [False, True],
        "back": [False],
    }
    assert {file.path: file.keep and file.keep.to_pylist() for file in came if file.path != "new"} == {
        "cut": [False, False],
        "back": [True],
    }
    # rows behind a vector's end are in both versions
    assert {(file.path, file.rest) for file in gone} == {("cut", False), ("back", False), ("old", True)}


def test_rows_that_both_sides_have_cancel_out() -> None:
    """Only keys of rows that are no longer there go; a null in a key is told."""
    rows = [{"k": "1", "r": None, "v": 1}, {"k": "2", "r": "x", "v": 2}, {"k": "3", "r": None, "v": 3}]
    kinds = pa.schema([("k", pa.string()), ("r", pa.string()), ("v", pa.int64())])
    before, after = (pa.RecordBatch.from_pylist(part, schema=kinds) for part in (rows, [rows[1], {**rows[2], "v": 9}]))
    found = difference([before], [after], ("k", "r"))
    assert found.gone.to_pylist() == ["1\t\\N", "3\t\\N"]
    assert found.came.to_pylist() == ["3\t\\N\t9"]
    assert found.null_keys == {"r"}
    nothing = difference([], [], ("k",))
    assert (len(nothing.gone), len(nothing.came)) == (0, 0)


def test_a_shape_is_exact_or_refused() -> None:
    """Types map one to one, binary is left out, a key that is not there is none, and the rest is an error."""
    fields = [
        {"name": "tenant_id", "type": "string"},
        {"name": "total", "type": "decimal(28,2)"},
        {"name": "reasons", "type": {"type": "array", "elementType": "string"}},
        {"name": "bytes", "type": "binary"},
    ]
    found = shape(fields, ("tenant_id",), {"reasons"})
    assert [c.type for c in found.columns] == ["text", "numeric(28,2)", "text[]"]
    assert (found.key, found.plain, found.masked, found.by_tenant) == (
        ("tenant_id",),
        ("tenant_id", "total"),
        True,
        True,
    )
    assert Shape.of(found.record()) == found
    assert shape(fields, ("other",), ()).key == ()
    with pytest.raises(NoType, match="address"):
        shape([{"name": "address", "type": {"type": "struct", "fields": []}}], (), ())


def test_totals_that_differ_are_named_without_their_values() -> None:
    """Exact numbers to the last digit, floating point within rounding."""
    lake = {"rows": 2, "sum of total": Decimal("10.01"), "sum of share": 0.1 + 0.2, "values of note": 1}
    reconcile.compare("m", lake, {**lake, "sum of share": 0.3})
    with pytest.raises(Unreconciled, match="different: sum of total, values of note") as error:
        reconcile.compare("m", lake, {**lake, "sum of total": Decimal("10.02"), "values of note": 2})
    assert "10.0" not in str(error.value)
