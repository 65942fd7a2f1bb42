"""Decide again: rebuild from silver exactly what a decision folded, compare digests, score, compare. Invariant 5.

A decision carries the 48-bit hashes of the events and labels it folded, so what arrived later plays no part. Three
things are not carried and are tried instead, the digest saying which held: whether the account's opening was known by
then, whether the state was exact, and, for an event id with several contents, which of them the state had met.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caudal.lake import Lake
from caudal.proof import Check
from caudal.settings import Settings
from serving.errors import ModelError, NoDecision
from serving.features import facts, state
from serving.features import spec as specs
from serving.features.fold import Folded, fold
from serving.features.silver import Row, Silver, literals
from serving.features.spec import Entity, FeatureSpec
from serving.features.state import hash48
from serving.fraud import model as models
from serving.fraud import rules, train
from serving.fraud.decide import RULES_ONLY, Decider, entity_states, state_digest
from serving.settings import ServingSettings

NAME = "decisions replay"
INVARIANT = 5
LOOK_S = 1.0
SHOWN = 20
# Combinations of contents that are tried for one entity; conflicts are rare, two in one state rarer.
TRIES = 64
DECISION_COLUMNS = (
    "event_id", "tenant_id", "transaction_event_id", "amount", "outcome", "score", "reasons", "model_version",
    "features_version", "rules_version", "state_digest", "features", "entities", "decided_for",
)  # fmt: skip


@dataclass(frozen=True)
class Replayed:
    """One decision, decided again. `differences` name what is not as it was; `missing` counts events not in silver."""

    decision_id: str
    same: bool
    missing: int
    differences: tuple[str, ...]
    outcome: str
    score: float

    def record(self) -> dict[str, object]:
        """The result as JSON-ready facts."""
        return {
            "decision_id": self.decision_id,
            "same": self.same,
            "missing": self.missing,
            "differences": list(self.differences),
            "outcome": self.outcome,
            "score": self.score,
        }


@dataclass(frozen=True)
class Known:
    """What silver and quarantine hold for a set of decisions: records by place, openings by person, payments by id."""

    events: Mapping[tuple[str, str, str], Mapping[int, list[bytes]]]
    labels: Mapping[tuple[str, str, str], Mapping[int, list[bytes]]]
    opened: Mapping[tuple[str, str], list[int]]
    payments: Mapping[tuple[str, str], list[Row]]


def replay(settings: Settings, decision_id: str) -> Replayed:
    """Decide again on one decision, named by its own event id or its payment's. Raises NoDecision."""
    spec = specs.load(settings.section("serving", ServingSettings).features)
    silver = Silver(Lake.open(settings), spec)
    wanted = literals([decision_id])
    found = _decisions(silver, f"where event_id in ({wanted}) or transaction_event_id in ({wanted}) limit 1")
    if not found:
        raise NoDecision("there is no such decision in silver", fix="give a decision's event id, or its payment's")
    return _replay(found[0], _known(silver, spec, found), spec, Models(settings))


def checks(settings: Settings) -> list[Check]:
    """Invariant 5 over a sample of decisions; waits for silver to hold what they folded."""
    own = settings.section("serving", ServingSettings)
    spec, lake, known_models = specs.load(own.features), Lake.open(settings), Models(settings)
    sampled = _sample(Silver(lake, spec), own.verify_decisions)
    if not sampled:
        return [Check(INVARIANT, NAME, False, 0, "silver holds no decision")]
    deadline = time.monotonic() + own.verify_wait_s
    while True:
        known = _known(Silver(lake, spec), spec, sampled)
        results = [_replay(decision, known, spec, known_models) for decision in sampled]
        # Tables of one batch are committed one after the other: a decision may be seen before what it folded.
        if not any(r.missing for r in results) or time.monotonic() > deadline:
            break
        time.sleep(LOOK_S)
    findings = [f"{r.decision_id}: {'; '.join(r.differences)}" for r in results if not r.same]
    detail = f"{len(results)} decisions decided again"
    return [Check(INVARIANT, NAME, not findings, len(results), detail, tuple(findings[:SHOWN]))]


class Models:
    """Deciders by the versions that a decision names."""

    def __init__(self, settings: Settings) -> None:
        self._folder = train.models_dir(settings)
        self._loaded: dict[str, Decider] = {}

    def decider(self, spec: FeatureSpec, version: str) -> Decider:
        """Raises ModelError when the model is not there any more."""
        if version not in self._loaded:
            model = None if version == RULES_ONLY else models.load(self._folder, version)
            self._loaded[version] = Decider(spec, model)
        return self._loaded[version]


def _replay(decision: Mapping[str, Any], known: Known, spec: FeatureSpec, all_models: Models) -> Replayed:
    differences: list[str] = []
    missing, tenant = 0, decision["tenant_id"]
    candidates = known.payments.get((tenant, decision["transaction_event_id"]), [])
    as_of = facts.epoch_ms(decision["decided_for"])
    # The conflicting copy of a payment has another amount or time: the decision says which one it was.
    paid = [r for r in candidates if r.tx.at_ms == as_of and r.tx.cents == facts.cents(decision["amount"])]
    if not paid:
        what = "its payment has another amount or time in silver" if candidates else "its payment is not in silver"
        return Replayed(decision["event_id"], False, int(not candidates), (what,), "", 0.0)
    tx = paid[0].tx
    folded: dict[str, Folded] = {}
    for part in decision["entities"] or []:
        entity = spec.entity(part["entity"])
        found, lost = _entity(entity, tenant, part, as_of, hash48(tx.event_id), known)
        missing += lost
        if lost:
            differences.append(f"{lost} events or labels of its {entity.name} are not in silver")
        elif found is None:
            differences.append(f"the state of its {entity.name} has another digest")
        else:
            folded[entity.name] = found
    if not differences:
        differences += _again(decision, tx, folded, spec, all_models)
    return Replayed(
        decision["event_id"], not differences, missing, tuple(differences), decision["outcome"], decision["score"]
    )


def _again(
    decision: Mapping[str, Any], tx: facts.Transaction, folded: Mapping[str, Folded], spec: FeatureSpec, all_: Models
) -> list[str]:
    """What differs when the same state is decided on again."""
    if decision["features_version"] != spec.label:
        return [f"its features {decision['features_version']} are not the live ones"]
    if decision["rules_version"] != rules.version():
        return [f"its rules {decision['rules_version']} are not the live ones"]
    try:
        decider = all_.decider(spec, decision["model_version"])
    except ModelError as error:
        return [f"its model {decision['model_version']} cannot be used: {error.code}"]
    verdict = decider.decide([(tx, folded)])[0]
    states = entity_states(tx, spec, folded)
    by_name = {str(p["entity"]): p for p in decision["entities"] or []}
    same = {
        "entities": {str(s["entity"]): s["ref"] for s in states} == {n: p["ref"] for n, p in by_name.items()},
        "state_digest": state_digest(states) == decision["state_digest"],
        "features": verdict.features == dict(decision["features"]),
        "outcome": verdict.outcome == decision["outcome"],
        "score": verdict.score == decision["score"],
        "reasons": list(verdict.reasons) == list(decision["reasons"]),
    }
    return [f"{name} differs" for name, equal in same.items() if not equal]


def _entity(
    entity: Entity, tenant: str, part: Mapping[str, Any], as_of: int, own: int, known: Known
) -> tuple[Folded | None, int]:
    """The entity as it was folded then, or None when no state from silver has its digest; and how much is missing."""
    place = (tenant, entity.name, part["ref"])
    events, labels = known.events.get(place, {}), known.labels.get(place, {})
    lost = sum(h not in events for h in part["events"]) + sum(h not in labels for h in part["labels"])
    if lost:
        return None, lost
    born = [*known.opened.get((tenant, part["ref"]), []), 0] if entity.account_age else [0]
    verdicts = state.pack(sorted(labels[h][-1] for h in part["labels"]))
    for chosen in itertools.islice(_contents(events, part["events"]), TRIES):
        for opened, horizon in itertools.product(dict.fromkeys(born), (0, as_of)):
            packed = state.pack(sorted(chosen), horizon=horizon, born=opened)
            found = fold(entity, packed, verdicts, as_of, own)
            if found.digest(entity.name) == part["digest"]:
                return found, 0
    return None, 0


def _contents(events: Mapping[int, list[bytes]], hashes: Sequence[int]) -> Iterator[tuple[bytes, ...]]:
    """Every choice of one content per event, the largest (which the store keeps) first."""
    return itertools.product(*(list(reversed(events[h])) for h in hashes))


def _decisions(silver: Silver, clause: str) -> list[dict[str, Any]]:
    return silver.query("silver", "fraud_decision", f"select {', '.join(DECISION_COLUMNS)} from t {clause}")


def _sample(silver: Silver, n: int) -> list[dict[str, Any]]:
    """Some decisions. The ids alone are drawn first: a decision's own columns are some kB."""
    drawn = silver.query("silver", "fraud_decision", f"select event_id from t order by random() limit {n}")
    return _decisions(silver, f"where event_id in ({literals(r['event_id'] for r in drawn)})") if drawn else []


def _known(silver: Silver, spec: FeatureSpec, decisions: Iterable[Mapping[str, Any]]) -> Known:
    refs: dict[str, set[str]] = {}
    for decision in decisions:
        for part in decision["entities"] or []:
            refs.setdefault(spec.entity(part["entity"]).ref, set()).add(part["ref"])
    ids = {decision["transaction_event_id"] for decision in decisions}
    rows = [*silver.payments(refs, ids), *silver.conflicts()]
    events: dict[tuple[str, str, str], dict[int, list[bytes]]] = {}
    payments: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        payments.setdefault((row.tx.tenant, row.tx.event_id), []).append(row)
        for entity, ref, record in facts.place(row.tx, spec):
            _keep(events, (row.tx.tenant, entity.name, ref), record)
    labels: dict[tuple[str, str, str], dict[int, list[bytes]]] = {}
    for item in silver.labels(refs.get("merchant_id", set())):
        for entity, ref, record in facts.place_label(item.label, spec):
            _keep(labels, (item.label.tenant, entity.name, ref), record)
    opened: dict[tuple[str, str], list[int]] = {}
    for account in silver.accounts(refs.get("subject_ref", set())):
        opened.setdefault((account.tenant, account.subject_ref), []).append(account.opened_ms)
    return Known(events, labels, opened, payments)


def _keep(into: dict[tuple[str, str, str], dict[int, list[bytes]]], place: tuple[str, str, str], record: bytes) -> None:
    contents = into.setdefault(place, {}).setdefault(int.from_bytes(record[6:12], "big"), [])
    if record not in contents:
        contents.append(record)
        contents.sort()
