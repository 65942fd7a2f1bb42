"""The fold: windows, labels, durations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.features import spec as specs
from serving.features import state
from serving.features.fold import UNKNOWN, fold, vector
from serving.features.spec import DAY_MS

SPEC = specs.load()
CUSTOMER, MERCHANT = SPEC.entity("customer"), SPEC.entity("merchant")
NOW = 20_000 * DAY_MS


def rebuilt(entity, items, born=0):
    return state.rebuild(items, keep_ms=entity.keep_ms, cap=entity.cap, born=born)


def named(entity, folded):
    return dict(zip(entity.names, folded.values, strict=True))


@given(st.lists(st.tuples(st.integers(0, 35 * DAY_MS), st.integers(0, 10**6), st.integers(0, 3)), max_size=30))
def test_windows_are_open_behind_and_closed_at_as_of(rows):
    """Count, sum, mean and distinct equal brute force over (as_of - W, as_of]."""
    items = [state.pack_event(NOW - age, i + 1, cents, held, 0) for i, (age, cents, held) in enumerate(rows)]
    found = named(CUSTOMER, fold(CUSTOMER, rebuilt(CUSTOMER, items), b"", NOW))
    for window in CUSTOMER.windows:
        inside = [(cents, held) for age, cents, held in rows if age < window.ms]
        total = sum(cents for cents, _ in inside)
        assert found[f"customer.count_{window.label}"] == len(inside)
        assert found[f"customer.sum_{window.label}"] == total / 100
        assert found[f"customer.mean_{window.label}"] == (total / (100 * len(inside)) if inside else 0)
        assert found[f"customer.distinct_merchants_{window.label}"] == len({held for _, held in inside} - {0})


def test_what_comes_after_as_of_does_not_count():
    """A record with a later time is no part of an earlier decision."""
    items = [state.pack_event(NOW, 1, 100, 1, 1), state.pack_event(NOW + 1, 2, 100, 1, 1)]
    folded = fold(CUSTOMER, rebuilt(CUSTOMER, items), b"", NOW)
    assert folded.events == [1]


def test_seconds_since_last_passes_over_the_event_itself():
    """The judged event is not its own predecessor; a twin of the same instant is."""
    own, other, twin = (state.pack_event(ms, i, 1, 1, 1) for ms, i in ((NOW, 5), (NOW - 2500, 9), (NOW, 3)))
    alone = fold(CUSTOMER, rebuilt(CUSTOMER, [own]), b"", NOW, own=5)
    pair = fold(CUSTOMER, rebuilt(CUSTOMER, [own, other]), b"", NOW, own=5)
    twins = fold(CUSTOMER, rebuilt(CUSTOMER, [own, other, twin]), b"", NOW, own=5)
    values = [named(CUSTOMER, f)["customer.seconds_since_last"] for f in (alone, pair, twins)]
    assert values == [UNKNOWN, 2.5, 0.0]


@pytest.mark.parametrize("age", [CUSTOMER.lookback_ms - 1, CUSTOMER.lookback_ms, CUSTOMER.lookback_ms + DAY_MS])
def test_values_follow_from_the_folded_records_alone(age):
    """A record that a decision does not list shows in no value, so a replay finds the same ones."""
    own, older = state.pack_event(NOW, 5, 1, 1, 1), state.pack_event(NOW - age, 9, 1, 1, 1)
    live = fold(CUSTOMER, rebuilt(CUSTOMER, [own, older]), b"", NOW, own=5)
    chosen = [item for item in (older, own) if int.from_bytes(item[6:12], "big") in live.events]
    again = fold(CUSTOMER, state.pack(chosen), b"", NOW, own=5)
    assert live.values == again.values


def test_account_age_counts_from_the_first_account():
    """Days since the account opened; unknown before it and without one."""
    ages = [
        named(CUSTOMER, fold(CUSTOMER, rebuilt(CUSTOMER, [], born=born), b"", NOW))["customer.account_age_days"]
        for born in (0, NOW - 3 * DAY_MS, NOW + 1)
    ]
    assert ages == [UNKNOWN, 3.0, UNKNOWN]


def label(known_ago, at_ago, transaction, fraud, identity=1):
    return state.pack_label(NOW - known_ago, identity, transaction, NOW - at_ago, fraud)


@pytest.mark.parametrize(
    ("labels", "risk"),
    [
        ([label(DAY_MS, 10 * DAY_MS, 1, True)], 0.5),
        ([label(-1, 10 * DAY_MS, 1, True)], 0.0),
        ([label(DAY_MS, 3 * DAY_MS, 3, True)], 0.0),
        ([label(2 * DAY_MS, 10 * DAY_MS, 1, True), label(DAY_MS, 10 * DAY_MS, 1, False, 2)], 0.0),
    ],
    ids=["known", "not yet known", "inside the delay", "corrected"],
)
def test_risk_uses_only_what_was_known(labels, risk):
    """A merchant's risk: labels known by now about what happened at least 7 days ago; the latest verdict holds."""
    items = [state.pack_event(NOW - age * DAY_MS, i, 100, 1, 1) for i, age in ((1, 10), (2, 12), (3, 3))]
    known = state.rebuild(labels, keep_ms=MERCHANT.keep_ms, cap=MERCHANT.cap)
    found = named(MERCHANT, fold(MERCHANT, rebuilt(MERCHANT, items), known, NOW))
    assert (found["merchant.known_count_7d"], found["merchant.risk_7d"]) == (2.0, risk)


def test_a_cut_state_says_that_it_is_not_exact():
    """When the cap pushed out what a window needs, the value is marked."""
    items = [state.pack_event(NOW - i, i + 1, 1, 1, 1) for i in range(CUSTOMER.cap + 1)]
    full = fold(CUSTOMER, rebuilt(CUSTOMER, items[:-1]), b"", NOW)
    cut = fold(CUSTOMER, rebuilt(CUSTOMER, items), b"", NOW)
    assert (full.exact, cut.exact) == (True, False)


def test_digest_follows_what_was_folded_only():
    """Records outside every window change the bytes of a state and not the digest of a decision."""
    inside, outside = state.pack_event(NOW, 1, 5, 1, 1), state.pack_event(NOW - 30 * DAY_MS - 1, 2, 5, 1, 1)
    one = fold(CUSTOMER, rebuilt(CUSTOMER, [inside]), b"", NOW)
    two = fold(CUSTOMER, rebuilt(CUSTOMER, [inside, outside]), b"", NOW)
    assert one.digest("customer") == two.digest("customer")


def test_vector_has_one_value_per_name_also_for_missing_entities():
    """A transaction without device still gives the whole vector."""
    values = vector(SPEC, 12345, NOW, {})
    assert len(SPEC.names) == len(values)
    assert dict(zip(SPEC.names, values, strict=True))["amount"] == 123.45
