"""The store's Function against the plain-Python rebuild, on a real server."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import StoreAway
from serving.features import state
from serving.features.spec import Entity, Window
from serving.features.store import Batch, Store

# Small numbers make evictions by time and by cap the usual case.
SMALL = Entity("card", "card_ref", ("m", "d"), 6, (Window("x", 40 - 86_400_000),), ("count",), (), False, False, 0)
fresh = itertools.count()

record = st.builds(
    state.pack_event, st.integers(1, 90), st.integers(1, 4), st.integers(0, 2), st.integers(0, 2), st.just(2**32 - 1)
)
history = st.lists(st.one_of(record, st.integers(1, 50)), min_size=1, max_size=25)


@pytest.fixture(scope="module")
def store(redis_url):
    made = Store(redis_url)
    made.load()
    yield made
    made.close()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history, st.randoms())
def test_any_order_any_duplicates_same_bytes_as_the_rebuild(store, items, random):
    """Duplicates, conflicting payloads, evictions and account times in any order leave the reference's bytes."""
    ref = f"r{next(fresh)}"
    batch = Batch()
    twice = [*items, *random.sample(items, len(items) // 2)]
    random.shuffle(twice)
    for item in twice:
        if isinstance(item, int):
            batch.born(SMALL, "t1", ref, item)
        else:
            batch.event(SMALL, "t1", ref, item)
    store.run(batch)
    born = min((i for i in items if isinstance(i, int)), default=0)
    expected = state.rebuild(
        [i for i in items if isinstance(i, bytes)], keep_ms=SMALL.keep_ms, cap=SMALL.cap, born=born
    )
    assert expected == store.read(SMALL, "t1", ref)[0]


def test_each_answer_is_the_state_after_that_insert(store):
    """A burst in one pipeline sees itself grow: 1 to 10."""
    batch = Batch()
    for i in range(10):
        batch.event(replace(SMALL, cap=50), "t1", "burst", state.pack_event(50 + i, i + 1, 1, 1, 1))
    assert [state.header(answer).n for answer in store.run(batch)] == list(range(1, 11))


def test_an_erased_ref_is_not_written_again(store):
    """The Function itself checks the tombstone."""
    batch = Batch()
    batch.event(SMALL, "t1", "gone", state.pack_event(1, 1, 1, 1, 1))
    batch.born(SMALL, "t1", "gone", 5)
    store.run(batch)
    store.forget("t1", "gone", [SMALL.name])
    assert store.run(batch) == [None, None]
    assert store.read(SMALL, "t1", "gone") == (state.EMPTY, b"")


def test_whoever_decides_first_wins(store):
    """The second decision on one transaction gets the bytes of the first, in one pipeline too."""
    assert store.first([("decision:t1:a", b"1"), ("decision:t1:a", b"2")]) == [b"1", b"1"]
    assert store.first([("decision:t1:a", b"3")]) == [b"1"]


def test_the_function_comes_back_after_the_server_lost_it(store):
    """A server that lost its memory gets the Function again at the next write."""
    store._send([("FUNCTION", "FLUSH")])
    batch = Batch()
    batch.event(SMALL, "t1", "again", state.pack_event(1, 1, 1, 1, 1))
    assert state.header(store.run(batch)[0]).n == 1


def test_positions_and_keys_are_read_back(store):
    """Positions come back as numbers, and states are found by tenant, entity and ref."""
    batch = Batch()
    batch.event(SMALL, "shop:1", "x", state.pack_event(1, 1, 1, 1, 1))
    batch.positions({"payments.transaction:0": 17})
    store.run(batch)
    assert store.positions()["payments.transaction:0"] == 17
    assert ("shop:1", "card", "x") in set(store.states())


def test_a_server_that_is_away_is_an_error_with_a_wait():
    """No answer means StoreAway and a time to come back, never an empty state."""
    nobody = Store("redis://127.0.0.1:1/0", timeout_s=0.2)
    with pytest.raises(StoreAway) as caught:
        nobody.read(SMALL, "t1", "x")
    assert caught.value.retry_after > 0
