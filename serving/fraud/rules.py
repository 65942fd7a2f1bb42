"""Decision rules: what people want decided whatever the model says. Each reads features by name and nothing else."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["approve", "review", "reject"]
SEVERITY: Mapping[Outcome, int] = {"approve": 0, "review": 1, "reject": 2}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {">": operator.gt, ">=": operator.ge, "<": operator.lt}


@dataclass(frozen=True)
class Term:
    """One comparison of a feature with a number."""

    feature: str
    compare: str
    value: float

    def holds(self, features: Mapping[str, float]) -> bool:
        return _COMPARE[self.compare](features[self.feature], self.value)


@dataclass(frozen=True)
class DecisionRule:
    """All terms hold → at least this outcome. `why` is for people."""

    code: str
    terms: tuple[Term, ...]
    outcome: Outcome
    why: str

    def fires(self, features: Mapping[str, float]) -> bool:
        return all(term.holds(features) for term in self.terms)


RULES: tuple[DecisionRule, ...] = (
    # Honest customers of the published simulator make up to 4 payments a day; 12 in a day is 1 in 2 million there.
    DecisionRule("VELOCITY", (Term("customer.count_24h", ">", 12),), "review", "many payments in one day"),
    DecisionRule("AMOUNT_LIMIT", (Term("amount", ">", 5000),), "review", "amount above the automatic limit"),
    DecisionRule(
        "AMOUNT_JUMP",
        (Term("amount_to_mean", ">=", 4), Term("customer.count_30d", ">=", 5)),
        "review",
        "amount far above the customer's own mean",
    ),
    DecisionRule(
        "DEVICE_SHARED", (Term("device.distinct_customers_7d", ">=", 4),), "review", "a device of many people"
    ),
)


def version(rules: tuple[DecisionRule, ...] = RULES) -> str:
    """Hash of the rules' meaning: 8 hexadecimal digits."""
    return hashlib.sha256(repr([(r.code, r.terms, r.outcome) for r in rules]).encode()).hexdigest()[:8]


def fired(features: Mapping[str, float], rules: tuple[DecisionRule, ...] = RULES) -> list[DecisionRule]:
    """The rules that fire, in their order."""
    return [rule for rule in rules if rule.fires(features)]
