"""Which marts a cycle builds, and which of them anew."""

from __future__ import annotations

import pytest

from batch.record import Built, Record
from batch.stage import Stage, Work, outdated
from quality.marts import Mart
from schemas.manifest import Group, TableVersion

NAMES = ("a", "b", "c")
WORK = Work(
    group="live",
    contracts={},
    marts=tuple(Mart(name, "live", "", {}, ()) for name in NAMES),
    suites={},
    inputs=(),
    checksums={name: f"{name}1" for name in NAMES},
)
BUILT = {name: Built(1, "id", 1) for name in NAMES}


def record(**models: str) -> Record:
    return Record("c1", "live", "published", 0, tables=BUILT, models=models, reads=dict.fromkeys(NAMES, "x"))


@pytest.mark.parametrize(
    ("models", "anew"),
    [
        ({"a": "a1", "b": "b1", "c": "c1"}, set()),
        ({"a": "a1", "b": "older", "c": "c1"}, {"b"}),
        # What was recorded without its SQL is made anew.
        ({"a": "a1"}, {"b", "c"}),
    ],
)
def test_other_sql_makes_a_mart_anew(models: dict[str, str], anew: set[str]) -> None:
    """By the record of the cycle that made what is published."""
    assert outdated(WORK, record(**models)) == anew
    assert outdated(WORK, None) == set(NAMES)


def test_a_new_mart_is_no_changed_one() -> None:
    """It is built because it is not published; dbt makes it whole by itself."""
    one = Record("c1", "live", "published", 0, tables={"a": BUILT["a"]}, models={"a": "a1"})
    assert outdated(WORK, one) == set()


def test_built_is_what_moved_and_what_is_made_anew() -> None:
    """In the order of the group; what neither moved nor changed is left as it is."""
    tables = {name: TableVersion(name, "id", 1, 1) for name in NAMES}
    entry, earlier = Group("c1", 0, {}, tables), record(a="a1", b="older", c="c1")
    stage = Stage(WORK, entry, earlier, {}, {}, outdated(WORK, earlier), {}, {})
    assert stage.moved({"a": "x", "b": "x", "c": "y"}) == ("b", "c")
    assert stage.moved({"a": "x", "b": "x", "c": "x"}) == ("b",)
