"""Card payments with three kinds of fraud: our own generator, after the Fraud Detection Handbook's published recipe.

Customers and terminals live on a square of 100 x 100; a customer pays at terminals within `radius`. Frauds, in order:

1. every amount above 220;
2. each day some terminals turn bad: all their payments of the next 28 days;
3. each day some customers lose their credentials: a third of their payments of the next 14 days, at five times the
   amount.

With the default `Recipe` the numbers are those of the book (seeds included). No personal data is made here: customers
and terminals are numbers. A longer run begins with the same payments as a shorter one; only the last 14 days of a run
can still change their frauds, which is why a player that extends its horizon stops that many days before the end.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400
SIDE = 100.0
BIG_AMOUNT_CENTS = 22_000
TERMINAL_DAYS, CUSTOMER_DAYS = 28, 14
# Fraud of the third kind is settled once its whole window lies inside the run.
UNSETTLED_DAYS = CUSTOMER_DAYS


@dataclass(frozen=True)
class Recipe:
    """Size of a run. The defaults are the book's; `seed` 0 gives exactly its draws."""

    customers: int = 5_000
    terminals: int = 10_000
    days: int = 183
    radius: float = 5.0
    bad_terminals_per_day: int = 2
    bad_customers_per_day: int = 3
    seed: int = 0


@dataclass(frozen=True)
class Payments:
    """Payments in order of time, one array per column; the row number is the payment's number.

    `second` counts from the start of the run, `scenario` is 0 for honest payments and 1 to 3 for frauds.
    `place` and `terminal_place` hold x and y of customers and terminals.
    """

    customer: NDArray[np.int64]
    terminal: NDArray[np.int64]
    second: NDArray[np.int64]
    amount_cents: NDArray[np.int64]
    scenario: NDArray[np.int8]
    place: NDArray[np.float64]
    terminal_place: NDArray[np.float64]
    counted: tuple[int, int, int]
    """Frauds after each scenario minus those before: a later scenario may overwrite the number of an earlier one."""

    def __len__(self) -> int:
        return len(self.second)

    @property
    def is_fraud(self) -> NDArray[np.bool_]:
        return self.scenario > 0

    def before(self, day: int) -> int:
        """How many payments lie before the start of that day (days count from 0)."""
        return int(np.searchsorted(self.second, day * DAY_S, side="left"))


def generate(recipe: Recipe) -> Payments:
    """Draw a whole run: under a second for 300 customers and 60 days, some 10 s for the book's size."""
    # Rows of four draws: x, y, mean amount (5 to 100), mean payments a day (0 to 4).
    people = np.random.RandomState(recipe.seed).random_sample((recipe.customers, 4))
    place = people[:, :2] * SIDE
    terminal_place = np.random.RandomState(recipe.seed + 1).random_sample((recipe.terminals, 2)) * SIDE
    customers: list[int] = []
    terminals: list[int] = []
    seconds: list[int] = []
    amounts: list[float] = []
    for number in range(recipe.customers):
        reach = _reachable(place[number], terminal_place, recipe.radius)
        before = len(seconds)
        _spend(recipe, number, 5 + people[number, 2] * 95, people[number, 3] * 4, reach, terminals, seconds, amounts)
        customers.extend([number] * (len(seconds) - before))
    second = np.array(seconds, dtype=np.int64)
    order = np.argsort(second, kind="stable")
    cents = np.rint(np.array(amounts, dtype=np.float64) * 100).astype(np.int64)[order]
    customer = np.array(customers, dtype=np.int64)[order]
    terminal = np.array(terminals, dtype=np.int64)[order]
    second = second[order]
    scenario, counted = _commit_frauds(recipe, customer, terminal, second // DAY_S, cents)
    return Payments(customer, terminal, second, cents, scenario, place, terminal_place, counted)


def longer(recipe: Recipe, days: int) -> Recipe:
    """The same run with another number of days."""
    return replace(recipe, days=days)


def _reachable(place: NDArray[np.float64], terminal_place: NDArray[np.float64], radius: float) -> list[int]:
    squares = np.square(place - terminal_place)
    found: list[int] = np.flatnonzero(np.sqrt(squares.sum(axis=1)) < radius).tolist()
    return found


def _spend(
    recipe: Recipe,
    number: int,
    mean_amount: float,
    mean_per_day: float,
    reach: list[int],
    terminals: list[int],
    seconds: list[int],
    amounts: list[float],
) -> None:
    """Append one customer's payments to the three lists; the recipe's order of draws decides every number."""
    if not reach:
        return
    seed = recipe.seed * 1_000_003 + number
    draw, pick = np.random.RandomState(seed), random.Random(seed)
    poisson, normal, choice = draw.poisson, draw.normal, pick.choice
    for day in range(recipe.days):
        for _ in range(poisson(mean_per_day)):
            second = int(normal(DAY_S / 2, 20_000))
            if not 0 < second < DAY_S:
                continue
            amount = normal(mean_amount, mean_amount / 2)
            if amount < 0:
                amount = draw.uniform(0, mean_amount * 2)
            amounts.append(round(amount, 2))
            terminals.append(choice(reach))
            seconds.append(day * DAY_S + second)


def _commit_frauds(
    recipe: Recipe,
    customer: NDArray[np.int64],
    terminal: NDArray[np.int64],
    day: NDArray[np.int64],
    cents: NDArray[np.int64],
) -> tuple[NDArray[np.int8], tuple[int, int, int]]:
    """Mark the frauds, and raise the amounts of the third kind in place."""
    scenario = np.zeros(len(day), dtype=np.int8)
    scenario[cents > BIG_AMOUNT_CENTS] = 1
    first = int(np.count_nonzero(scenario))
    starts = np.searchsorted(day, np.arange(recipe.days + CUSTOMER_DAYS + TERMINAL_DAYS), side="left")
    bad_days = range(recipe.days - 1)
    for today in bad_days:
        bad = _sample(recipe, today, recipe.terminals, recipe.bad_terminals_per_day)
        window = slice(starts[today], starts[today + TERMINAL_DAYS])
        scenario[window][np.isin(terminal[window], bad)] = 2
    second = int(np.count_nonzero(scenario)) - first
    for today in bad_days:
        bad = _sample(recipe, today, recipe.customers, recipe.bad_customers_per_day)
        window = slice(starts[today], starts[today + CUSTOMER_DAYS])
        rows = (np.flatnonzero(np.isin(customer[window], bad)) + starts[today]).tolist()
        stolen = random.Random(recipe.seed * 1_000_003 + today).sample(rows, k=len(rows) // 3)
        cents[stolen] *= 5
        scenario[stolen] = 3
    third = int(np.count_nonzero(scenario)) - first - second
    return scenario, (first, second, third)


def _sample(recipe: Recipe, day: int, among: int, count: int) -> NDArray[np.int64]:
    draw = np.random.RandomState(recipe.seed * 1_000_003 + day)
    return draw.choice(among, size=count, replace=False)
