"""Rules and model to an outcome."""

import pytest

from serving.features import spec as specs
from serving.features import state
from serving.features.facts import Transaction
from serving.features.fold import fold
from serving.features.spec import DAY_MS
from serving.fraud import rules
from serving.fraud.decide import RULES_ONLY, Decider, decision_id, entity_states, state_digest
from serving.fraud.model import Model

SPEC = specs.load()
NOW = 20_000 * DAY_MS
# A card with one input: amounts from 100 on are nearly certain fraud.
MODEL = Model(
    version="m-test", features=SPEC.label, inputs=("amount",), edges=((100.0,),), points=((-3.0, 5.0),),
    usual=(-3.0,), intercept=0.0, review=0.5, reject=0.9, report={},
)  # fmt: skip


def tx(cents=1000, number=1):
    fields = {"subject_ref": "c", "merchant_id": "m", "device_ref": "d"}
    return Transaction("bank", f"e{number}", f"t{number}", cents, NOW, fields)


def burst(n):
    items = [state.pack_event(NOW - i * 1000, i, 1000, 1, 1) for i in range(n)]
    customer = SPEC.entity("customer")
    return {"customer": fold(customer, state.rebuild(items, keep_ms=customer.keep_ms, cap=512), b"", NOW)}


@pytest.mark.parametrize(
    ("model", "cents", "events", "outcome", "reasons"),
    [
        (None, 1000, 1, "approve", ()),
        (None, 1000, 13, "review", ("rule:VELOCITY",)),
        (None, 500_001, 1, "review", ("rule:AMOUNT_LIMIT",)),
        (MODEL, 1000, 1, "approve", ()),
        (MODEL, 10_000, 1, "reject", ("model:amount",)),
        (MODEL, 1000, 13, "review", ("rule:VELOCITY",)),
    ],
    ids=["plain", "burst", "limit", "model approves", "model rejects", "the stricter of both"],
)
def test_the_strictest_voice_decides_and_says_why(model, cents, events, outcome, reasons):
    """Rules and model both speak; the worse outcome holds and every reason is named."""
    (verdict,) = Decider(SPEC, model).decide([(tx(cents), burst(events))])
    assert (verdict.outcome, verdict.reasons) == (outcome, reasons)


def test_without_a_model_the_versions_say_so():
    """A decision by rules alone names itself."""
    assert Decider(SPEC, None).versions["model_version"] == RULES_ONLY
    assert Decider(SPEC, MODEL).versions["model_version"] == "m-test"


def test_one_decision_per_payment_and_tenant():
    """The id depends on the payment alone, and tenants never share one."""
    assert decision_id("a", "e1") == decision_id("a", "e1") != decision_id("b", "e1")


def test_the_digest_names_the_whole_state():
    """Another event in any entity gives another digest."""
    one, two = (entity_states(tx(), SPEC, burst(n)) for n in (1, 2))
    assert state_digest(one) != state_digest(two)
    assert [s["ref"] for s in one] == ["c"]


def test_rules_are_named_by_their_meaning():
    """Moving a limit changes the version."""
    moved = (rules.DecisionRule("VELOCITY", (rules.Term("customer.count_24h", ">", 13),), "review", ""),)
    assert rules.version(rules.RULES) != rules.version(moved)


def test_every_rule_reads_a_feature_that_exists():
    """No rule waits for a name that the specification does not have."""
    used = {term.feature for rule in rules.RULES for term in rule.terms}
    assert used <= set(SPEC.names)
