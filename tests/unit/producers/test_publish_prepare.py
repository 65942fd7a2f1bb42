"""Preparing: what fits is sealed and encoded, what does not is refused by code and field, and counted."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from caudal.clock import FixedClock
from caudal.metrics import Metrics
from caudal.settings import Settings
from privacy.reveal import reveal
from producers.encode import decode
from producers.errors import RecordRefused, UnknownContract
from producers.publish import Publisher
from producers.publish_contracts import Contracts
from producers.publish_prepare import Prepared, Refused
from producers.rejected import Rejected, payload_bytes
from producers.settings import ProducersSettings
from schemas.contract import Rule
from schemas.distribution import Released
from tests.support.released import contracts, released

NOW = 1_700_000_000_000
TRANSACTION = {
    "event_id": "e1",
    "tenant_id": "t1",
    "transaction_id": "x1",
    "account_id": "a1",
    "amount": "10.50",
    "currency": "BRL",
    "method": "pix",
    "merchant_id": "m1",
    "customer_cpf": "111.444.777-35",
    "card_number": "4111111111111111",
    "occurred_at": NOW - 1000,
}


@pytest.fixture
def publisher(offline_settings: Settings) -> Iterator[Publisher]:
    opened = Publisher(
        offline_settings,
        source="test",
        run="r1",
        contracts=contracts(),
        clock=FixedClock(NOW),
        metrics=Metrics("test"),
    )
    yield opened
    opened.close()


def refused(publisher: Publisher, **changes: object) -> tuple[str, str]:
    with pytest.raises(RecordRefused) as caught:
        publisher.prepare("payments.transaction", {**TRANSACTION, **changes})
    return caught.value.code, caught.value.path


def test_a_prepared_record_is_what_the_wire_schema_says(publisher: Publisher):
    """The value decodes with the wire schema behind the registry id; key, origin and clocks are in place."""
    prepared = publisher.prepare(
        "payments.transaction", TRANSACTION, observed_at=NOW - 500, position="p7", headers=(("h", b"v"),)
    )
    known = released()["payments.transaction"]
    assert prepared.value is not None
    registry_id, wire = decode(prepared.value, known.contract.latest.wire)
    assert registry_id == known.ids[1]
    assert json.loads(prepared.key) == ["t1", "e1"]
    origin = wire["origin"]
    assert (origin["source"], origin["run"], origin["position"]) == ("test", "r1", "p7")
    assert [int(origin[name].timestamp() * 1000) for name in ("observed_at", "published_at")] == [NOW - 500, NOW]
    assert wire["customer_cpf"]["mask"] == "***.***.***-35"
    assert wire["amount"] == Decimal("10.50")
    assert len(wire["subject_ref"]) == len(wire["card_ref"]) == 32
    assert wire["device_ref"] is None
    assert prepared.headers == (("h", b"v"),)
    assert b"11144477735" not in prepared.value
    assert b"4111111111111111" not in prepared.value + prepared.key
    token = wire["customer_cpf"]["token"]
    vault, contract = publisher.vault, known.contract
    assert reveal(vault, contract, "t1", "customer_cpf", token, wire["subject_ref"]) == "111.444.777-35"


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ({"extra": 1}, "CDL-UNKNOWN-FIELD", "extra"),
        ({"customer_cpf": 11144477735}, "CDL-TYPE", "customer_cpf"),
        ({"event_id": ""}, "CDL-NO-FIELD", "event_id"),
        ({"tenant_id": None}, "CDL-NO-FIELD", "tenant_id"),
        ({"occurred_at": NOW + 300_001}, "CDL-FUTURE", "occurred_at"),
        ({"amount": "-0.01"}, "CDL-RULE-AMOUNT", ""),
        ({"account_id": "a" * 1_000_000}, "CDL-TOO-LARGE", ""),
    ],
)
def test_refusals_name_code_and_field(publisher: Publisher, changes: dict[str, object], code: str, path: str):
    """A record that does not fit is refused with its code and field, and nothing of its content."""
    assert refused(publisher, **changes) == (code, path)
    assert dict(publisher.stats.refused) == {code: 1}
    with pytest.raises(RecordRefused) as caught:
        publisher.prepare("payments.transaction", {**TRANSACTION, **changes})
    assert "11144477735" not in f"{caught.value} {caught.value.facts()}"


def test_the_future_is_judged_by_the_sources_clock(publisher: Publisher):
    """An event far ahead of our clock fits when its source observed it then, as a simulator's does."""
    later = NOW + 10_000_000
    event = {**TRANSACTION, "occurred_at": later}
    assert publisher.prepare("payments.transaction", event, observed_at=later).observed_at == later
    assert refused(publisher, occurred_at=NOW + 300_001)[0] == "CDL-FUTURE"
    assert publisher.prepare("payments.transaction", {**TRANSACTION, "occurred_at": NOW + 300_000})


def test_a_batch_has_one_answer_per_event_in_order(publisher: Publisher):
    """Bad records of a batch do not touch the good ones."""
    events = [{**TRANSACTION, "event_id": f"e{i}", "amount": -1 if i % 3 == 1 else 1} for i in range(7)]
    answers = publisher.prepare_many("payments.transaction", events, observed_at=[NOW - i for i in range(7)])
    assert [i for i, answer in enumerate(answers) if isinstance(answer, Refused)] == [1, 4]
    assert [answer.index for answer in answers if isinstance(answer, Refused)] == [1, 4]
    good = [answer for answer in answers if isinstance(answer, Prepared)]
    assert [(p.event_id, p.observed_at) for p in good] == [(f"e{i}", NOW - i) for i in (0, 2, 3, 5, 6)]
    assert (publisher.stats.prepared, publisher.stats.refused) == (5, {"CDL-RULE-AMOUNT": 2})


def test_a_warning_rule_refuses_nothing_and_a_rule_on_refs_does(offline_settings: Settings):
    """Rules with `warn` pass at the door; a reject rule on a ref is judged once the ref is known."""
    known = released()["payments.transaction"]
    rules = (Rule("WARN", "amount > 1000", "warn"), Rule("REF", "subject_ref is not null"))
    contract = replace(known.contract, quality=rules)
    fixed = Contracts.fixed({contract.id: Released(contract, known.ids)})
    with Publisher(offline_settings, source="t", contracts=fixed, clock=FixedClock(NOW)) as publisher:
        assert publisher.prepare(contract.id, TRANSACTION)
        with pytest.raises(RecordRefused) as caught:
            publisher.prepare(contract.id, {**TRANSACTION, "customer_cpf": None})
    assert caught.value.code == "CDL-RULE-REF"


def test_unknown_contracts_and_versions(publisher: Publisher):
    """What nobody released cannot be published."""
    with pytest.raises(UnknownContract):
        publisher.prepare("payments.nothing", TRANSACTION)
    with pytest.raises(UnknownContract):
        publisher.prepare("payments.transaction", TRANSACTION, version=9)


def test_wrong_check_digits_are_counted_not_refused(publisher: Publisher):
    """A mistyped CPF passes, named and counted."""
    prepared = publisher.prepare("payments.transaction", {**TRANSACTION, "customer_cpf": "11144477736"})
    assert prepared.flags == ("customer_cpf",)
    assert publisher.stats.flagged == 1


@pytest.mark.parametrize(
    "payload", ['{"cpf": "11144477735", "é": 1}'.encode(), b"\xff\x00not text", b"base64:odd", b""]
)
def test_a_refused_request_is_kept_whole_and_sealed(publisher: Publisher, payload: bytes):
    """The payload of a refused request opens to the very bytes, and is nowhere in clear."""
    publisher.produce = lambda prepared, on_delivery=None: None  # type: ignore[method-assign]
    keeper = Rejected(publisher, ProducersSettings())
    prepared = keeper.reject("t1", "commerce.order", "webhook", "CDL-SHAPE", "line_items", payload)
    sealed = prepared.wire["payload"]
    assert sealed["mask"] == "***"
    assert b"11144477735" not in (prepared.value or b"")
    contract = released()["caudal.rejected"].contract
    assert payload_bytes(reveal(publisher.vault, contract, "t1", "payload", sealed["token"], None)) == payload
    assert prepared.wire["payload_bytes"] == len(payload)


def test_an_oversized_refused_request_is_counted_without_its_payload(publisher: Publisher):
    """A payload over the limit leaves its size only."""
    publisher.produce = lambda prepared, on_delivery=None: None  # type: ignore[method-assign]
    keeper = Rejected(publisher, ProducersSettings(rejected_payload_bytes=1024))
    wire = keeper.reject("t1", "c", "http", "CDL-JSON", None, b"x" * 1025).wire
    assert (wire["payload"], wire["payload_bytes"]) == (None, 1025)


def test_deletes_need_a_keyed_contract_and_its_key(publisher: Publisher):
    """Deleting from an append contract, or with a key that does not fit, is refused."""
    with pytest.raises(RecordRefused):
        publisher.delete("commerce.order", {"shop_id": "s"}, sequence=1, event_id="d")
    with pytest.raises(Exception, match="append"):
        publisher.delete("payments.transaction", {"tenant_id": "t"}, sequence=1, event_id="d")
