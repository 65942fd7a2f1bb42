"""From what is known about a payment to a decision. Pure: no clock, no store, no randomness."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.features.facts import Transaction
from serving.features.fold import Folded, vector
from serving.features.spec import FeatureSpec
from serving.fraud import model as models
from serving.fraud import rules
from serving.fraud.model import Model
from serving.fraud.rules import DecisionRule, Outcome

RULES_ONLY = "rules-only"


@dataclass(frozen=True)
class Verdict:
    """What was decided and why: reasons name rules and inputs, never values."""

    outcome: Outcome
    score: float
    reasons: tuple[str, ...]
    features: dict[str, float]


class Decider:
    """Features, rules and model as one bundle. `model` None decides by rules only, with score 0."""

    def __init__(
        self, spec: FeatureSpec, model: Model | None, decision_rules: tuple[DecisionRule, ...] = rules.RULES
    ) -> None:
        self.spec, self.model, self.rules = spec, model, decision_rules
        self._places = models.columns(spec.names, model) if model else []

    @property
    def versions(self) -> dict[str, str]:
        """What a decision names: model, features, rules."""
        return {
            "model_version": self.model.version if self.model else RULES_ONLY,
            "features_version": self.spec.label,
            "rules_version": rules.version(self.rules),
        }

    def decide(self, payments: Sequence[tuple[Transaction, Mapping[str, Folded]]]) -> list[Verdict]:
        """One verdict per payment with its folded entities; one matrix through the model for all."""
        if not payments:
            return []
        vectors = [vector(self.spec, tx.cents, tx.at_ms, folded) for tx, folded in payments]
        if self.model is None:
            return [self._verdict(row, 0.0, []) for row in vectors]
        points = self.model.contributions(np.array(vectors)[:, self._places])
        scores = self.model.scores(points)
        return [
            self._verdict(row, score, self.model.reasons(part) if score >= self.model.review else [])
            for row, score, part in zip(vectors, scores, points, strict=True)
        ]

    def _verdict(self, row: Sequence[float], score: float, reasons: list[str]) -> Verdict:
        features = dict(zip(self.spec.names, row, strict=True))
        outcome: Outcome = "approve"
        if self.model is not None and score >= self.model.review:
            outcome = "reject" if score >= self.model.reject else "review"
        fired = rules.fired(features, self.rules)
        for rule in fired:
            outcome = max(outcome, rule.outcome, key=lambda o: rules.SEVERITY[o])
        return Verdict(outcome, score, (*(f"rule:{r.code}" for r in fired), *reasons), features)


def decision_id(tenant: str, event_id: str) -> str:
    """The decision's event id: one per payment, so that deciding again is a duplicate."""
    return hashlib.sha256(f"decision|{tenant}|{event_id}".encode()).hexdigest()[:32]


def entity_states(tx: Transaction, spec: FeatureSpec, folded: Mapping[str, Folded]) -> list[dict[str, object]]:
    """What was folded, by entity: enough to select exactly this from silver again."""
    return [
        {
            "entity": entity.name,
            "ref": tx.fields[entity.ref],
            "events": part.events,
            "labels": part.labels,
            "digest": part.digest(entity.name),
        }
        for entity in spec.entities
        if (part := folded.get(entity.name)) is not None
    ]


def state_digest(states: Sequence[Mapping[str, object]]) -> str:
    """Hash over the entities' digests."""
    text = "\n".join(f"{s['entity']} {s['ref']} {s['digest']}" for s in states)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
