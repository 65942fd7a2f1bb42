"""Effects around a decision, in the order that lets any step be repeated: write states, fold, decide, keep the first.

Used alike by the loop on Kafka and by `POST /v1/score`, so both give one payment the same bytes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from caudal.clock import Clock, SystemClock
from producers.publish import Publisher
from producers.publish_prepare import Prepared
from producers.publish_prepare import Refused as NotPrepared
from serving.features import facts
from serving.features.facts import Account, Label, Transaction
from serving.features.fold import Folded, fold
from serving.features.spec import FeatureSpec
from serving.features.store import Batch, Store, decision_key
from serving.fraud.decide import Decider, Verdict, decision_id, entity_states, state_digest

DECISION = "fraud.decision"
# Seconds between two looks for a newly trained model.
LOOK_S = 5.0


@dataclass(frozen=True)
class Case:
    """A payment to insert, and to decide on unless it only fills the store again. Times are epoch milliseconds."""

    tx: Transaction
    observed_ms: int
    published_ms: int
    route: str
    decide: bool = True

    @property
    def at_ms(self) -> int:
        return self.tx.at_ms


@dataclass(frozen=True)
class Told:
    """A label or an account's opening, and when it was published."""

    fact: Label | Account
    published_ms: int


Item = Case | Told


def case(wire: Mapping[str, Any], spec: FeatureSpec, route: str, *, decide: bool = True) -> Case:
    """A case from a judged wire record."""
    return Case(
        tx=facts.transaction(wire, spec),
        observed_ms=facts.epoch_ms(wire["origin"]["observed_at"]),
        published_ms=published_ms(wire),
        route=route,
        decide=decide,
    )


def published_ms(wire: Mapping[str, Any]) -> int:
    """The publisher's wall clock on a wire record."""
    return facts.epoch_ms(wire["origin"]["published_at"])


class Engine:
    """Store, publisher and decider together. Raises StoreAway and TransientError; every call may be repeated."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        decider: Decider,
        clock: Clock | None = None,
        newer: Callable[[Decider], Decider] | None = None,
    ) -> None:
        """`newer` gives the decider to go on with when another model became current; the same one otherwise."""
        self.store, self.publisher, self.decider = store, publisher, decider
        self.spec = decider.spec
        self._clock = clock or SystemClock()
        self._newer = newer
        self._looked = time.monotonic()

    def apply(self, items: Sequence[Item], positions: Mapping[str, int] | None = None) -> list[Prepared]:
        """Insert all, in order, and decide on the cases; the decisions that hold, ready to be produced."""
        batch = Batch()
        read: list[tuple[Case, dict[str, tuple[int, int | None]]]] = []
        for item in items:
            if isinstance(item, Told):
                self._tell(batch, item.fact)
            else:
                places: dict[str, tuple[int, int | None]] = {}
                for entity, ref, record in facts.place(item.tx, self.spec):
                    state = batch.event(entity, item.tx.tenant, ref, record)
                    risk = entity.risk_delay_ms and item.decide
                    places[entity.name] = state, batch.labels(entity, item.tx.tenant, ref) if risk else None
                if item.decide:
                    read.append((item, places))
        batch.positions(positions or {})
        answers = self.store.run(batch)
        return self._decide([(c, self._fold(c.tx, places, answers)) for c, places in read])

    def _current(self) -> Decider:
        """One decider for a whole batch; a newly trained model is taken up without a restart."""
        if self._newer is not None and time.monotonic() - self._looked > LOOK_S:
            self._looked = time.monotonic()
            self.decider = self._newer(self.decider)
        return self.decider

    def _tell(self, batch: Batch, fact: Label | Account) -> None:
        if isinstance(fact, Account):
            for entity, ref, ms in facts.place_account(fact, self.spec):
                batch.born(entity, fact.tenant, ref, ms)
        else:
            for entity, ref, record in facts.place_label(fact, self.spec):
                batch.label(entity, fact.tenant, ref, record)

    def _fold(
        self, tx: Transaction, places: Mapping[str, tuple[int, int | None]], answers: list[Any]
    ) -> dict[str, Folded]:
        """The entities at the payment's instant; an erased one (no state in the answer) is left out."""
        out = {}
        for name, (state, labels) in places.items():
            if answers[state] is not None:
                known = answers[labels] if labels is not None else None
                out[name] = fold(self.spec.entity(name), answers[state], known or b"", tx.at_ms, own=tx.hash)
        return out

    def _decide(self, cases: list[tuple[Case, dict[str, Folded]]]) -> list[Prepared]:
        decider = self._current()
        verdicts = decider.decide([(c.tx, folded) for c, folded in cases])
        now = self._clock.now_ms()
        events = [
            self._event(c, folded, verdict, decider, now) for (c, folded), verdict in zip(cases, verdicts, strict=True)
        ]
        observed = [c.observed_ms for c, _ in cases]
        prepared: list[Prepared] = []
        for answer in self.publisher.prepare_many(DECISION, events, observed_at=observed) if events else []:
            if isinstance(answer, NotPrepared):
                raise answer.error(DECISION)  # our own record does not fit its contract: a bug, never data
            prepared.append(answer)
        keys = [decision_key(c.tx.tenant, c.tx.event_id) for c, _ in cases]
        stored = self.store.first([(k, p.value or b"") for k, p in zip(keys, prepared, strict=True)])
        return [replace(p, value=value) for p, value in zip(prepared, stored, strict=True)]

    def _event(
        self, c: Case, folded: Mapping[str, Folded], verdict: Verdict, decider: Decider, now: int
    ) -> dict[str, object]:
        tx = c.tx
        states = entity_states(tx, self.spec, folded)
        return {
            "event_id": decision_id(tx.tenant, tx.event_id),
            "tenant_id": tx.tenant,
            "transaction_id": tx.transaction_id,
            "transaction_event_id": tx.event_id,
            "customer_ref": tx.fields["subject_ref"] if "customer" in folded else None,
            "amount": Decimal(tx.cents).scaleb(-2),
            "outcome": verdict.outcome,
            "score": verdict.score,
            "reasons": list(verdict.reasons),
            **decider.versions,
            "state_digest": state_digest(states),
            "features": verdict.features,
            "entities": states,
            "origin_route": c.route,
            "latency_ms": float(max(now - c.published_ms, 0)),
            "decided_for": tx.at_ms,
            "decided_at": now,
        }
