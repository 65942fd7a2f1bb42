"""A random history of product events, decisions and labels as silver has them, and what marts must say about it.

The figures are worked out from the rows alone, in plain Python and without a thought for increments: what a mart holds
after any order of arrival has to be the same.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from schemas.product import ProductRules

Row = Mapping[str, Any]
START = datetime(2026, 2, 20, 12)
DAYS = 45


@dataclass(frozen=True)
class History:
    """Rows by contract id, in order of their arrival."""

    rows: Mapping[str, Sequence[Row]]

    def part(self, contract: str, number: int) -> list[Row]:
        """The first or second half of a contract's rows to arrive (0 or 1)."""
        rows = self.rows[contract]
        middle = len(rows) * 2 // 3
        return list(rows[:middle] if number == 0 else rows[middle:])


def history(seed: int) -> History:
    """Arrivals are shuffled, so that each part has events of all days, and labels come before and after decisions."""
    draw = random.Random(seed)
    payments = [_payment(draw, number) for number in range(90)]
    found = {
        "product.event": [_event(draw, number) for number in range(260)],
        "payments.transaction": payments,
        "fraud.decision": [_decision(draw, payment) for payment in payments if draw.random() < 0.95],
        "fraud.label": [_label(draw, p, n) for p in payments for n in range(draw.choice((0, 0, 0, 1, 2)))],
    }
    for rows in found.values():
        draw.shuffle(rows)
    return History(found)


def _at(draw: random.Random) -> datetime:
    return START + timedelta(days=draw.randrange(DAYS), seconds=draw.randrange(86_400))


def _event(draw: random.Random, number: int) -> dict[str, Any]:
    kind, name = draw.choice(
        (("page", "home"), ("page", "settings"), ("feature", "create_report"), ("feature", "export_csv"),
         ("feature", "invite_member"))
    )  # fmt: skip
    return {
        "event_id": f"e{number}",
        "tenant_id": draw.choice(("t1", "t2")),
        "tier": draw.choice(("free", "pro", "enterprise")),
        "event_type": kind,
        "name": name,
        "subject_ref": draw.choice((None, "u1", "u2", "u3", "u4")),
        "session_id": f"s{draw.randrange(20)}",
        "occurred_at": str(_at(draw)),
    }


def _payment(draw: random.Random, number: int) -> dict[str, Any]:
    return {
        "event_id": f"p{number}",
        "tenant_id": draw.choice(("b1", "b2")),
        "transaction_id": f"tx{number}",
        "account_id": "a1",
        "merchant_id": "m1",
        "amount": Decimal(draw.randrange(100, 99_999)) / 100,
        "currency": "BRL",
        "method": "card",
        "card_ref": draw.choice((None, "k1", "k2", "k3")),
        "occurred_at": str(_at(draw)),
    }


def _decision(draw: random.Random, payment: Row) -> dict[str, Any]:
    return {
        "event_id": f"d-{payment['event_id']}",
        "tenant_id": payment["tenant_id"],
        "transaction_id": payment["transaction_id"],
        "transaction_event_id": payment["event_id"],
        "amount": payment["amount"],
        "outcome": draw.choice(("approve", "review", "reject")),
        "score": draw.randrange(1000) / 1000,
        "reasons": draw.sample(["rule:A", "rule:B", "amount"], draw.randrange(3)),
        "model_version": draw.choice(("m1", "m2")),
        "features": {"amount": draw.uniform(0, 1000), "hour": float(draw.randrange(24))},
        "latency_ms": draw.randrange(1, 900) / 10,
        "decided_for": payment["occurred_at"],
        "decided_at": payment["occurred_at"],
    }


def _label(draw: random.Random, payment: Row, number: int) -> dict[str, Any]:
    return {
        "event_id": f"l{number}-{payment['event_id']}",
        "tenant_id": payment["tenant_id"],
        "transaction_id": payment["transaction_id"],
        "transaction_event_id": payment["event_id"],
        "merchant_id": "m1",
        "is_fraud": draw.random() < 0.6,
        "kind": draw.choice(("chargeback", "analyst")),
        "transaction_at": payment["occurred_at"],
        "labelled_at": str(datetime.fromisoformat(payment["occurred_at"]) + timedelta(days=draw.randrange(1, 20))),
    }


def _day(row: Row, column: str = "occurred_at") -> date:
    return datetime.fromisoformat(row[column]).date()


def feature_usage(events: Iterable[Row], rules: ProductRules) -> list[tuple[Any, ...]]:
    """Tenant, day, tier, type, name, events and users, for what the tier shows."""
    shown = [e for e in events if e["event_type"] in rules.tiers[e["tier"]].shows]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for event in shown:
        groups[event["tenant_id"], _day(event), event["tier"], event["event_type"], event["name"]].append(event)
    return sorted((*key, len(rows), len({r["subject_ref"] for r in rows} - {None})) for key, rows in groups.items())


def active_users(events: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Tenant, day, and its active users of 1, 7 and 30 days."""
    known = {(e["tenant_id"], _day(e), e["subject_ref"]) for e in events if e["subject_ref"]}
    return [
        (tenant, day, *(_users(known, tenant, day, days) for days in (1, 7, 30)))
        for tenant, day in sorted({(tenant, day) for tenant, day, _ in known})
    ]


def _users(known: Iterable[tuple[str, date, str]], tenant: str, day: date, days: int) -> int:
    since = day - timedelta(days=days - 1)
    return len({user for of, when, user in known if of == tenant and since <= when <= day})


def funnels(events: Iterable[Row], rules: ProductRules) -> list[tuple[Any, ...]]:
    """Tenant, funnel, day of entry, step and users that got so far."""
    reached: Counter[tuple[Any, ...]] = Counter()
    roads: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event["occurred_at"]):
        if event["subject_ref"] and event["event_type"] in rules.tiers[event["tier"]].shows:
            roads[event["tenant_id"], event["subject_ref"]].append(event)
    for (tenant, _), road in roads.items():
        for name, funnel in rules.funnels.items():
            steps = [(step.event_type, step.name) for step in funnel.steps]
            firsts = {_day(e): e["occurred_at"] for e in reversed(road) if (e["event_type"], e["name"]) == steps[0]}
            for day, entered_at in firsts.items():
                done = 0
                for event in road:
                    in_time = event["occurred_at"] >= entered_at and _day(event) <= day + timedelta(days=funnel.days)
                    if in_time and done < len(steps) and (event["event_type"], event["name"]) == steps[done]:
                        done += 1
                reached.update((tenant, name, day, step) for step in range(1, done + 1))
    return sorted((*key, users) for key, users in reached.items())


def performance(found: Mapping[str, Sequence[Row]]) -> list[tuple[Any, ...]]:
    """Tenant, day, model, decisions, labelled, frauds, caught, false alarms, amount saved (None without a label)."""
    labels: dict[tuple[str, str], Row] = {}
    for label in sorted(found["fraud.label"], key=lambda one: (one["labelled_at"], one["event_id"])):
        labels[label["tenant_id"], label["transaction_event_id"]] = label
    groups: dict[tuple[Any, ...], list[tuple[Row, Row | None]]] = defaultdict(list)
    for decision in found["fraud.decision"]:
        label = labels.get((decision["tenant_id"], decision["transaction_event_id"]))
        groups[decision["tenant_id"], _day(decision, "decided_for"), decision["model_version"]].append(
            (decision, label)
        )
    return sorted((*key, *_judged(rows)) for key, rows in groups.items())


def _judged(rows: Sequence[tuple[Row, Row | None]]) -> tuple[Any, ...]:
    labelled = sum(label is not None for _, label in rows)
    frauds = [decision for decision, label in rows if label and label["is_fraud"]]
    caught = [decision for decision in frauds if decision["outcome"] != "approve"]
    flagged = sum(decision["outcome"] != "approve" for decision, _ in rows)
    saved = sum((decision["amount"] for decision in frauds if decision["outcome"] == "reject"), Decimal("0.00"))
    return len(rows), labelled, len(frauds), len(caught), flagged - len(caught), saved if labelled else None
