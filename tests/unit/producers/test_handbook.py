"""The payments generator: the same numbers for the same seed, and a longer run begins like a shorter one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulate.handbook import UNSETTLED_DAYS, Recipe, generate, longer

SMALL = Recipe(customers=60, terminals=120, days=30, radius=20, bad_terminals_per_day=1, bad_customers_per_day=1)


def test_the_book_begins_as_printed() -> None:
    """With the book's seeds the first customers draw the book's numbers."""
    drawn = np.random.RandomState(0).random_sample((1, 4))[0]
    assert [round(float(value) * 100, 6) for value in drawn[:2]] == [54.881350, 71.518937]
    payments = generate(Recipe(customers=5, terminals=5, days=5, radius=50))
    assert tuple(payments.place[0].round(2)) == (54.88, 71.52)


def test_every_large_amount_is_fraud() -> None:
    """Amounts above 220 that were so from the start are frauds of the first kind or later ones."""
    payments = generate(SMALL)
    assert bool(payments.is_fraud[payments.amount_cents > 22_000].all())
    assert sum(payments.counted) == int(payments.is_fraud.sum())


def test_rows_are_in_order_of_time() -> None:
    """The row number is the order of time."""
    payments = generate(SMALL)
    assert bool((np.diff(payments.second) >= 0).all())
    assert int(payments.second[-1]) < SMALL.days * 86_400
    assert payments.before(0) == 0
    assert payments.before(SMALL.days) == len(payments)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 50), more=st.integers(1, 40))
def test_a_longer_run_begins_like_a_shorter_one(seed: int, more: int) -> None:
    """Everything before the last fourteen days of a run is final."""
    recipe = Recipe(**(SMALL.__dict__ | {"seed": seed}))
    short, long = generate(recipe), generate(longer(recipe, recipe.days + more))
    settled = short.before(recipe.days - UNSETTLED_DAYS)
    for column in ("customer", "terminal", "second", "amount_cents", "scenario"):
        assert np.array_equal(getattr(short, column)[:settled], getattr(long, column)[:settled])
