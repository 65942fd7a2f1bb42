"""The payments world as events: in order, with labels, the same after a restart, the same numbers as the history."""

from itertools import islice, takewhile

import numpy as np

from privacy.normalise import valid_cpf
from producers.simulate.history import history
from producers.simulate.payments import ACCOUNT, DAY_MS, LABEL, TRANSACTION, Timeline, factor
from producers.simulate.settings import SimulateSettings

SETTINGS = SimulateSettings(customers=40, terminals=2_000, history_days=10, seed=3)


def test_the_history_is_what_is_played() -> None:
    """The arrays for training hold the payments that are published first, number by number."""
    timeline, columns = Timeline(SETTINGS), history(SETTINGS)
    played = [item for item in islice(timeline.items(), 5_000) if item.contract == TRANSACTION]
    rows = len(columns["event_id"])
    assert 0 < rows == timeline.history_end < len(played)
    for name, event_field in (("event_id", "event_id"), ("tenant_id", "tenant_id"), ("occurred_ms", "occurred_at")):
        assert [item.event[event_field] for item in played[:rows]] == columns[name].tolist()
    assert [int(item.event["amount"] * 100) for item in played[:rows]] == columns["amount_cents"].tolist()
    assert {name for name in columns if columns[name].dtype == object} == set()


def test_every_fraud_gets_its_label_days_later() -> None:
    """A chargeback becomes known three to seven days after the payment; honest payments get none."""
    timeline = Timeline(SETTINGS)
    items = list(islice(timeline.items(), 5_000))
    labels = [item for item in items if item.contract == LABEL]
    assert labels
    for item in labels:
        assert 3 * DAY_MS <= item.event["labelled_at"] - item.event["transaction_at"] <= 7 * DAY_MS
        assert item.event["labelled_at"] == item.observed_ms
    frauds = timeline.facts.payments.is_fraud
    last = max(item.observed_ms for item in items)
    due = [row for row in np.flatnonzero(frauds) if timeline.facts.labelled_ms(int(row)) < last]
    assert {timeline.facts.event_id(int(row)) for row in due} <= {x.event["transaction_event_id"] for x in labels}


def test_a_restart_goes_on_where_it_was() -> None:
    """From any payment on, the same events come, and no label is missing."""
    timeline = Timeline(SETTINGS)
    whole = [item for item in islice(timeline.items(), 3_000) if item.contract != ACCOUNT]
    for row in (1, 77, 400):
        again = [item for item in islice(Timeline(SETTINGS).items(row), 1_000) if item.contract != ACCOUNT]
        ids = [item.event["event_id"] for item in again]
        rest = [item.event["event_id"] for item in whole if item.row > row]
        assert set(rest[:500]) <= set(ids)


def test_time_never_ends() -> None:
    """When the drawn days are used up, more are drawn and time goes on."""
    timeline = Timeline(SETTINGS)
    end = timeline.facts.payments.before(90 - 14)
    around = [item for item in islice(timeline.items(end - 5), 40) if item.contract == TRANSACTION]
    times = [item.observed_ms for item in around]
    assert sorted(times) == times
    assert max(item.row for item in around) > end


def test_accounts_open_change_and_close() -> None:
    """Every account is created once, its sequence grows, and some are deleted."""
    items = list(takewhile(lambda item: item.contract != TRANSACTION, Timeline(SETTINGS).items()))
    assert {"c", "d"} == {item.event["_op"] for item in items}
    assert len({item.event["event_id"] for item in items}) == len(items)
    changes = [x for x in islice(Timeline(SETTINGS).items(), 3_000) if x.contract == ACCOUNT and x.event["_op"] == "u"]
    by_account: dict[str, int] = {}
    for item in changes:
        account = item.event["account_id"]
        assert item.event["_sequence"] > by_account.get(account, 1)
        by_account[account] = item.event["_sequence"]


def test_people_have_valid_cpfs() -> None:
    """Identifiers are well formed, and no two people share one."""
    timeline = Timeline(SETTINGS)
    people = [timeline.people[number] for number in range(SETTINGS.customers)]
    assert all(valid_cpf(person.cpf) for person in people)
    assert len({person.email for person in people}) == len({person.cpf for person in people}) == len(people)


def test_the_factor_follows_the_rate() -> None:
    """570 payments a day played at 85 a second make a day last under seven seconds."""
    assert factor(570, 85) == 12_884
