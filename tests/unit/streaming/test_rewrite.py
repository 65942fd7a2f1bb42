"""Statistics of a file that stands for several: what they say must hold for every row of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streaming.rewrite import summed

VALUE = st.one_of(st.none(), st.integers(-9, 9))
FILE = st.lists(st.fixed_dictionaries({"n": VALUE, "s": st.fixed_dictionaries({"x": VALUE})}), min_size=1, max_size=4)


def stats(rows: list[dict[str, Any]], told: bool = True) -> str:
    """As Delta keeps them; a file may not tell its bounds."""
    n, x = [row["n"] for row in rows], [row["s"]["x"] for row in rows]
    out: dict[str, Any] = {"numRecords": len(rows), "minValues": {}, "maxValues": {}, "tightBounds": True}
    for name, best in (("minValues", min), ("maxValues", max)):
        if told and any(v is not None for v in n):
            out[name]["n"] = best(v for v in n if v is not None)
        if told and any(v is not None for v in x):
            out[name]["s"] = {"x": best(v for v in x if v is not None)}
    return json.dumps(out | {"nullCount": {"n": n.count(None), "s": {"x": x.count(None)}}})


@given(st.lists(st.tuples(FILE, st.booleans()), min_size=1, max_size=4))
def test_bounds_hold_and_counts_add_up(files: list[tuple[list[dict[str, Any]], bool]]) -> None:
    """All that tell say together what one file of all rows would; a column that one leaves open has no bound."""
    found = json.loads(summed([stats(rows, told) for rows, told in files]))
    together = [row for rows, _ in files for row in rows]
    whole = json.loads(stats(together))
    assert (found["numRecords"], found["nullCount"]) == (whole["numRecords"], whole["nullCount"])
    if all(told for _, told in files):
        assert found == whole
    for name, beyond in (("minValues", int.__gt__), ("maxValues", int.__lt__)):
        bound = found[name].get("n")
        assert bound is None or not any(row["n"] is not None and beyond(bound, row["n"]) for row in together)
        inner = found[name].get("s", {}).get("x")
        assert inner is None or not any(row["s"]["x"] is not None and beyond(inner, row["s"]["x"]) for row in together)


def test_years_of_five_digits_have_no_bounds() -> None:
    """As texts they are not in the order of times."""
    one, other = (
        json.dumps({"numRecords": 1, "minValues": {"t": t}, "maxValues": {"t": t}, "nullCount": {"t": 0}})
        for t in ("2024-01-01T00:00:00.000Z", "+10000-01-01T00:00:00.000Z")
    )
    found = json.loads(summed([one, other]))
    assert (found["minValues"], found["maxValues"]) == ({}, {})


def test_fractions_have_no_bounds() -> None:
    """They would be rounded on the way, and a file would be passed over that holds what is asked for."""
    one = json.dumps({"numRecords": 1, "minValues": {"p": 0.1}, "maxValues": {"p": 0.1}, "nullCount": {"p": 0}})
    found = json.loads(summed([one, one]))
    assert (found["minValues"], found["maxValues"], found["nullCount"]) == ({}, {}, {"p": 0})
