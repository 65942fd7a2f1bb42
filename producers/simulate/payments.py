"""Payments, labels and accounts as events: the handbook's numbers with people behind them, in order of event time.

Everything about row number `n` (its identity, method, device, label) follows from the seed and `n`, so a player that is
started again goes on where it was and produces the same events. Labels are chargebacks that become known three to
seven days after the payment, in event time.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from producers.simulate.handbook import UNSETTLED_DAYS, Payments, Recipe, generate, longer
from producers.simulate.people import People
from producers.simulate.settings import SimulateSettings

TRANSACTION, LABEL, ACCOUNT = "payments.transaction", "fraud.label", "payments.account"
TENANTS = ("banco-andorinha", "banco-bemtevi")
DAY_MS = 86_400_000
FIRST_HORIZON_DAYS = 90
# One payment in twenty moves the account's record, so that accounts change but stay few.
ACCOUNT_SHARE = 13 / 256
# Second accounts that are opened before the history and closed in it: the deletes of the cdc contract.
CLOSED_EVERY, CLOSED_DAY = 100, 35


@dataclass(frozen=True)
class Item:
    """One event of the timeline. `row` is the first payment that has not been played when this item is out."""

    contract: str
    event: dict[str, Any]
    observed_ms: int
    row: int


def recipe(settings: SimulateSettings) -> Recipe:
    """The book's recipe at the demo's size: bad customers are fewer, as there are fewer customers."""
    days = max(FIRST_HORIZON_DAYS, settings.history_days + UNSETTLED_DAYS)
    return Recipe(
        customers=settings.customers,
        terminals=settings.terminals,
        days=days,
        bad_customers_per_day=max(1, settings.customers * 3 // 5_000),
        seed=settings.seed,
    )


class Facts:
    """What is true about a payment besides the handbook's numbers, by its row number."""

    def __init__(self, settings: SimulateSettings, payments: Payments) -> None:
        self.settings, self.payments = settings, payments
        self.start_ms = round(settings.start.timestamp() * 1000)

    def digest(self, row: int) -> bytes:
        return hashlib.sha256(f"{self.settings.seed}|payment|{row}".encode()).digest()

    def event_id(self, row: int) -> str:
        return self.digest(row).hex()[:32]

    def tenant(self, customer: int) -> str:
        """Banks divide the square in the middle, so most terminals belong to one bank's customers."""
        return TENANTS[int(self.payments.place[customer, 0] >= 50)]

    def occurred_ms(self, row: int) -> int:
        return self.start_ms + int(self.payments.second[row]) * 1000

    def labelled_ms(self, row: int) -> int:
        """When the chargeback of a fraud becomes known: three to seven days later."""
        share = int.from_bytes(self.digest(row)[8:12], "big") / 2**32
        return self.occurred_ms(row) + int((3 + 4 * share) * DAY_MS)

    def opened_ms(self, customer: int) -> int:
        digest = hashlib.sha256(f"{self.settings.seed}|account|{customer}".encode()).digest()
        return self.start_ms - (30 + int.from_bytes(digest[:2], "big") % 2_000) * DAY_MS

    def device(self, row: int, count: int) -> int:
        """Which of a person's devices paid."""
        return self.digest(row)[1] % count


class Timeline:
    """The events of the payments world, without end."""

    def __init__(self, settings: SimulateSettings, people: People | None = None) -> None:
        self._settings = settings
        self.people = people or People(settings.seed)
        self._recipe = recipe(settings)
        self.facts = Facts(settings, generate(self._recipe))

    @property
    def history_end(self) -> int:
        """Number of payments in the history: those before day `history_days`."""
        return self.facts.payments.before(self._settings.history_days)

    @property
    def per_day(self) -> float:
        """Payments a simulated day, which with a rate gives the factor of time."""
        return self.history_end / self._settings.history_days

    def items(self, row: int = 0) -> Iterator[Item]:
        """Events from payment `row` on, in order of event time; accounts come first when `row` is 0."""
        if row == 0:
            yield from self._opened()
        waiting = self._waiting(row)
        heapq.heapify(waiting)
        while True:
            self._extend(row)
            end = self.facts.payments.before(self._recipe.days - UNSETTLED_DAYS)
            for number in range(row, end):
                now = self.facts.occurred_ms(number)
                while waiting and waiting[0][0] <= now:
                    due, fraud = heapq.heappop(waiting)
                    yield Item(LABEL, self.label(fraud), due, number)
                if self.facts.payments.scenario[number]:
                    heapq.heappush(waiting, (self.facts.labelled_ms(number), number))
                yield Item(TRANSACTION, self.transaction(number), now, number + 1)
                if self.facts.digest(number)[6] < ACCOUNT_SHARE * 256:
                    yield Item(ACCOUNT, self._moved(number), now, number + 1)
            row = end

    def transaction(self, row: int) -> dict[str, Any]:
        """The payment as an event of `payments.transaction`."""
        facts, payments = self.facts, self.facts.payments
        customer = int(payments.customer[row])
        person, digest = self.people[customer], facts.digest(row)
        method = "pix" if digest[0] < 115 else "card" if digest[0] < 230 else "transfer"
        payee = self.people[int.from_bytes(digest[2:6], "big") % self._settings.customers]
        return {
            "event_id": digest.hex()[:32],
            "tenant_id": facts.tenant(customer),
            "transaction_id": f"tx-{row:09d}",
            "account_id": f"acc-{customer:05d}",
            "amount": Decimal(int(payments.amount_cents[row])).scaleb(-2),
            "currency": "BRL",
            "method": method,
            "merchant_id": f"m-{int(payments.terminal[row]):05d}",
            "customer_cpf": person.cpf,
            "customer_email": person.email,
            "customer_phone": person.phone,
            "bank_account": None if method == "card" else person.bank_account,
            "card_number": person.card if method == "card" else None,
            "device_id": person.devices[facts.device(row, len(person.devices))],
            "ip_address": person.ip,
            "payee_cpf": None if method == "card" else payee.cpf,
            "occurred_at": facts.occurred_ms(row),
        }

    def label(self, row: int) -> dict[str, Any]:
        """The chargeback of a fraud as an event of `fraud.label`."""
        facts = self.facts
        identity = hashlib.sha256(f"label|{facts.event_id(row)}".encode()).hexdigest()[:32]
        return {
            "event_id": identity,
            "tenant_id": facts.tenant(int(facts.payments.customer[row])),
            "transaction_id": f"tx-{row:09d}",
            "transaction_event_id": facts.event_id(row),
            "merchant_id": f"m-{int(facts.payments.terminal[row]):05d}",
            "is_fraud": True,
            "kind": "chargeback",
            "transaction_at": facts.occurred_ms(row),
            "labelled_at": facts.labelled_ms(row),
        }

    def _extend(self, row: int) -> None:
        """Make sure that payment `row` is settled; a longer run begins with the same payments."""
        while row >= self.facts.payments.before(self._recipe.days - UNSETTLED_DAYS):
            self._recipe = longer(self._recipe, self._recipe.days * 2)
            self.facts = Facts(self._settings, generate(self._recipe))

    def _waiting(self, row: int) -> list[tuple[int, int]]:
        """Labels of frauds before `row` that became known after the payment before it: those may not be out yet."""
        self._extend(row)
        facts = self.facts
        now = facts.occurred_ms(max(0, row - 1))
        frauds = facts.payments.is_fraud[:row].nonzero()[0]
        due = ((facts.labelled_ms(int(fraud)), int(fraud)) for fraud in frauds)
        return [pair for pair in due if row and pair[0] > now]

    def _opened(self) -> Iterator[Item]:
        for customer in range(self._settings.customers):
            opened = self.facts.opened_ms(customer)
            yield Item(ACCOUNT, self._account(customer, "", "c", 1, opened, "active"), opened, 0)
            if customer % CLOSED_EVERY == 0:
                closed = self.facts.start_ms + CLOSED_DAY * DAY_MS + customer
                yield Item(ACCOUNT, self._account(customer, "-s", "c", 1, opened, "active"), opened, 0)
                yield Item(ACCOUNT, self._account(customer, "-s", "d", 2, closed, "closed"), closed, 0)

    def _moved(self, row: int) -> dict[str, Any]:
        customer = int(self.facts.payments.customer[row])
        # The row number grows with time, so it orders an account's changes; opening it was number 1.
        return self._account(customer, "", "u", row + 2, self.facts.occurred_ms(row), "active")

    def _account(self, customer: int, suffix: str, op: str, sequence: int, at_ms: int, status: str) -> dict[str, Any]:
        person = self.people[customer]
        account = f"acc-{customer:05d}{suffix}"
        identity = hashlib.sha256(f"{self._settings.seed}|{account}|{op}|{sequence}".encode())
        cents = int.from_bytes(identity.digest()[:3], "big")
        return {
            "event_id": identity.hexdigest()[:32],
            "tenant_id": self.facts.tenant(customer),
            "account_id": account,
            "holder_cpf": person.cpf,
            "holder_name": person.name,
            "holder_email": person.email,
            "holder_phone": person.phone,
            "bank_account": person.bank_account,
            "status": status,
            "balance": Decimal(cents).scaleb(-2),
            "credit_limit": Decimal(1_000 * (1 + customer % 20)).quantize(Decimal("0.01")),
            "opened_at": self.facts.opened_ms(customer),
            "updated_at": at_ms,
            "_op": op,
            "_sequence": sequence,
            "_source": "core-banking",
        }


def factor(per_day: float, rate: float) -> int:
    """How much faster than real time a rate of payments a second plays."""
    return max(1, round(timedelta(days=1).total_seconds() * rate / per_day))
