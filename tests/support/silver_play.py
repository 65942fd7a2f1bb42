"""What may happen to shops and banks between two cycles, by a seed: new, changed, moved, deleted and late rows."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.batch_stack import BatchStack

Row = dict[str, Any]
SHOPS, BANKS = ("shop-a", "shop-b"), ("bank-a", "bank-b")
BEGIN = datetime(2026, 2, 26)
TIMES = ("_valid_from", "_valid_to", "_current")


class Play:
    """Each turn writes one commit a table. Keys, days and groups are few: rows meet, move and leave groups empty."""

    def __init__(self, stack: BatchStack, seed: int) -> None:
        self._stack, self._dice = stack, random.Random(seed)
        self._sequence = 0
        self._changes: dict[tuple[str, str], list[Row]] = {}
        self._written: dict[str, Row] = {}
        self._turns = 0

    def turn(self) -> None:
        """What a few minutes bring to silver."""
        self._turns += 1
        self._orders()
        self._payments()
        self._accounts()

    def _orders(self) -> None:
        orders = {(shop, str(self._below(14))): self._order() for shop in SHOPS for _ in range(7)}
        self._stack.silver("commerce.order").upsert(
            {"shop_id": shop, "order_id": number, **order} for (shop, number), order in orders.items()
        )
        self._stack.silver("commerce.refund").append(
            {
                "shop_id": shop,
                "refund_id": str(self._dice.random()),
                # Some are of orders that are not there (yet), or in another currency than their order.
                "order_id": str(self._below(16)),
                "amount": self._money(),
                "currency": self._any("BRL", "BRL", "USD"),
                "created_at": self._moment(),
            }
            for shop in SHOPS
            for _ in range(2)
        )
        people = {(shop, str(self._below(5))): self._gone(0.2) for shop in SHOPS for _ in range(3)}
        self._stack.silver("commerce.customer").upsert(
            {
                "shop_id": shop, "customer_id": number, "subject_ref": f"{shop}-c{number}", "orders_count": 0,
                "created_at": str(BEGIN), "updated_at": str(BEGIN), "_deleted_at": gone,
            }
            for (shop, number), gone in people.items()
        )  # fmt: skip

    def _order(self) -> Row:
        lines = [
            {
                "line_id": f"l{place}",
                "product_id": self._any("p1", "p2", "p3", None),
                "variant_id": None,
                "sku": None,
                "title": f"t{self._below(3)}",
                "quantity": self._below(3) + 1,
                "price": self._money(),
                "discount": self._any(None, Decimal("0.01")),
            }
            for place in range(self._below(4))
        ]
        return {
            "currency": self._any("BRL", "BRL", "USD"),
            "total": self._money(),
            "items_count": len(lines),
            "line_items": lines,
            "subject_ref": self._any(None, *(f"{shop}-c{n}" for n in range(4) for shop in SHOPS)),
            "shipping_country": "BR",
            "shipping_region": self._any("SP", "São Paulo", "Rio de Janeiro", None),
            # Months back too, so that customers change their cohort.
            "created_at": self._moment(days=self._any(0, 0, 40)),
            "updated_at": self._moment(),
            "cancelled_at": self._gone(0.2),
            "_deleted_at": self._gone(0.2),
        }

    def _payments(self) -> None:
        self._stack.silver("payments.transaction").append(
            {
                "tenant_id": bank,
                "transaction_id": str(self._dice.random()),
                "account_id": f"a{self._below(3)}",
                "merchant_id": f"m{self._below(3)}",
                "amount": self._any(self._money(), Decimal("60000.00")),
                "currency": self._any("BRL", "USD"),
                "method": self._any("pix", "card"),
                "subject_ref": self._any(None, "c1", "c2"),
                "device_ref": self._any("d1", "d2"),
                # Around midnight, where an hour reaches into the next day.
                "occurred_at": self._moment(hour=23, minutes=120),
                "_late": self._any(True, False),
            }
            for bank in BANKS
            for _ in range(8)
        )

    def _accounts(self) -> None:
        """Changes arrive in any order of their sequences, and the second turn brings a truncate of one bank."""
        fresh = [
            self._change(bank, f"a{self._below(4)}", op=self._any("c", "u", "u", "u", "d"))
            for bank in BANKS
            for _ in range(5)
        ]
        if self._turns == 2:
            fresh.append(self._change(BANKS[1], "__truncate__1", op="t"))
        for row in fresh:
            self._changes.setdefault((row["tenant_id"], row["account_id"]), []).append(row)
        versions = [row for changes in self._changes.values() for row in _ended(changes, self._truncates(changes))]
        news = [row for row in versions if self._written.get(row["event_id"]) != _times(row)]
        written = self._stack.history("payments.account").upsert(news)
        # A version whose end moved keeps the commit that it came with.
        for row in fresh:
            row["_version"] = written
        self._written.update({row["event_id"]: _times(row) for row in news})
        self._stack.silver("payments.account").upsert(_newest(news, versions))

    def _change(self, bank: str, account: str, *, op: str) -> Row:
        self._sequence += 1
        # A gap now and then is filled by a change that comes later.
        sequence = self._sequence * 10 - self._any(0, 0, 25)
        at = str(BEGIN + timedelta(hours=7 * sequence / 10))
        return {
            "event_id": f"change-{self._sequence}", "tenant_id": bank, "account_id": account, "status": "open",
            "balance": None if op == "t" else self._money() - 3, "credit_limit": self._any(None, Decimal("1.00")),
            "opened_at": str(BEGIN), "updated_at": at, "_op": op, "_sequence": sequence, "_published_at": at,
            "_deleted_at": at if op in ("d", "t") else None,
        }  # fmt: skip

    def _truncates(self, changes: list[Row]) -> list[Row]:
        bank = changes[0]["tenant_id"]
        return [
            row for found in self._changes.values() for row in found if row["_op"] == "t" and row["tenant_id"] == bank
        ]

    def _below(self, limit: int) -> int:
        return self._dice.randrange(limit)

    def _any(self, *choices: Any) -> Any:
        return self._dice.choice(choices)

    def _money(self) -> Decimal:
        return Decimal(self._below(1000)) / 100

    def _moment(self, *, days: int = 0, hour: int = 0, minutes: int = 2880) -> str:
        at = BEGIN - timedelta(days=days) + timedelta(days=self._below(2), hours=hour, minutes=self._below(minutes))
        return str(at)

    def _gone(self, share: float) -> str | None:
        return str(BEGIN) if self._dice.random() < share else None


def _ended(changes: list[Row], truncates: Iterable[Row]) -> list[Row]:
    """The versions of one account: each holds until the next change of it or the next truncate of its bank."""
    ordered = sorted(changes, key=_place)
    rows: list[Row] = []
    for change, following in zip(ordered, [*ordered[1:], None], strict=True):
        cuts = [cut for cut in truncates if _place(cut) > _place(change)]
        ends = sorted([*cuts, *([following] if following else [])], key=_place)
        gone = change["_deleted_at"] is not None
        until = change["updated_at"] if gone else max(change["updated_at"], ends[0]["updated_at"]) if ends else None
        current = not gone and not ends
        rows.append({**change, "_valid_from": change["updated_at"], "_valid_to": until, "_current": current})
    return rows


def _newest(news: Iterable[Row], versions: Iterable[Row]) -> list[Row]:
    """The rows that silver has of the accounts that changed: the newest version, deleted when nothing of it holds."""
    touched = {(row["tenant_id"], row["account_id"]) for row in news}
    by_account: dict[tuple[str, str], list[Row]] = {}
    for row in versions:
        by_account.setdefault((row["tenant_id"], row["account_id"]), []).append(row)
    own = (*TIMES, "_version")
    return [
        {
            **{name: value for name, value in row.items() if name not in own},
            "_deleted_at": None if row["_current"] else row["_valid_to"],
        }
        for row in (max(by_account[key], key=_place) for key in sorted(touched))
    ]


def _times(row: Row) -> Row:
    return {name: row[name] for name in TIMES}


def _place(row: Row) -> tuple[int, str]:
    return row["_sequence"], row["event_id"]
