"""What is known of an append table in memory: never a wrong word, and a look where it has none."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.ids import Ids, Records, merged

REACH = 10
RECORD = st.tuples(st.integers(-3, 3), st.integers(-40, 40), st.integers(0, 2))
"""Id, event time, and what it says (0: not known, in rows of the table only)."""


def records(found: list[tuple[int, int, int]]) -> Records:
    ids, ms, says = zip(*found, strict=True) if found else ((), (), ())
    return Records(np.array(ids, np.int64), np.array(ms, np.int64), np.array(says, np.uint32))


def known(rows: list[list[tuple[int, int, int]]], from_ms: int, most: int = 1000) -> Ids:
    ids = Ids(most)
    ids.from_ms = from_ms
    for version, commit in enumerate(rows):
        ids.add(records(commit), version)
    return ids


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.lists(RECORD, max_size=6), max_size=5),
    st.lists(RECORD.filter(lambda one: one[2] > 0), max_size=12),
    st.integers(-60, 10),
)
def test_only_plain_copies_are_called_copies_and_all_else_is_looked_into(
    rows: list[list[tuple[int, int, int]]], batch: list[tuple[int, int, int]], from_ms: int
) -> None:
    """Judged one by one in order, beside what silver holds, each record comes out as it is told or is looked into."""
    silver = [row for commit in rows for row in commit]
    copies, among = known(rows, from_ms).compare(records(batch), REACH)
    assert among.ids is not None
    applied = list(silver)
    for (id_, ms, says), copy in zip(batch, copies, strict=True):
        near = [row for row in applied if row[0] == id_ and abs(row[1] - ms) <= REACH]
        if id_ in among.ids:
            seen = [row for row in silver if row[0] == id_ and abs(row[1] - ms) <= REACH]
            assert all(any(first <= row[1] <= last for first, last in among.spans) for row in seen)
            continue
        assert copy == bool(near)
        assert all(row[2] == says for row in near)
        if not near:
            applied.append((id_, ms, says))


def test_new_ids_need_no_look() -> None:
    """Ids that neither the table nor the batch has twice are no suspects."""
    copies, among = known([[(1, 0, 1), (2, 0, 1)]], -1000).compare(records([(3, 0, 1), (4, 0, 1), (1, 1, 1)]), REACH)
    assert among.ids is not None
    assert (copies.tolist(), among.ids.tolist(), list(among.spans)) == ([False, False, True], [], [])


def test_the_newest_are_kept_and_the_rest_is_looked_up() -> None:
    """Above its bound the oldest rows are forgotten, and records that may meet them are suspects again."""
    ids = known([[(n, n, 1)] for n in range(200)], -1000, most=100)
    assert len(ids) <= 100
    old, new = ids.compare(records([(5, 5, 1)]), REACH), ids.compare(records([(199, 199, 1)]), REACH)
    assert (old[0].tolist(), new[0].tolist()) == ([False], [True])
    assert old[1].ids is not None
    assert (old[1].ids.tolist(), list(old[1].spans)) == ([5], [(-5, 15)])


@given(st.lists(st.tuples(st.integers(-(10**9), 10**9), st.integers(0, 10**6)), max_size=200))
def test_merged_spans_cover_all_of_them_and_are_few(found: list[tuple[int, int]]) -> None:
    spans = [(first, first + length) for first, length in found]
    made = merged(np.array(spans, np.int64).reshape(-1, 2))
    assert len(made) <= 64
    assert made == sorted(made)
    assert all(any(first <= a and b <= last for first, last in made) for a, b in spans)
