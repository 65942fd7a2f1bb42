"""The scorer on real Kafka and Valkey: counted at once, decided once, filled again after a loss."""

import struct
import uuid

import pytest
from confluent_kafka import Producer

from caudal.lake import Lake
from producers.publish import Publisher
from schemas.load import load_catalog
from serving.features import spec as specs
from serving.features import verify
from serving.features.spec import DAY_MS
from serving.features.state import hash48, header, pack_label, records
from serving.features.store import Batch, Store
from tests.support import silver_files
from tests.support.fraud import START, bank_settings, decisions, label, payment, scoring, until

pytestmark = pytest.mark.kafka


@pytest.fixture
def bank(settings):
    own = bank_settings(settings, f"scorer-{uuid.uuid4().hex[:8]}")
    with Publisher(own, source="tests") as publisher:
        store = Store(own.redis.url.get_secret_value())
        store._send([("FLUSHDB",)])
        yield own, publisher, store
        store.close()


def publish(publisher, contract, event, observed=None):
    publisher.publish(contract, event, observed_at=observed or event.get("occurred_at") or event.get("labelled_at"))


def opening(tenant):
    return {
        "event_id": f"{tenant}-a", "tenant_id": tenant, "account_id": "a1", "holder_cpf": "52998224725",
        "status": "open", "balance": 0, "opened_at": START - DAY_MS, "updated_at": START - DAY_MS,
        "_op": "c", "_sequence": 1,
    }  # fmt: skip


def states(store, tenant):
    spec = specs.load()
    return {(e, r): store.read(spec.entity(e), t, r) for t, e, r in store.states() if t == tenant}


def test_a_burst_is_counted_one_by_one_and_decided_once(bank):
    """Ten payments within a second see 1 to 10; read again from the start, Kafka gets the same bytes again."""
    own, publisher, _ = bank
    tenant = f"t{uuid.uuid4().hex[:8]}"
    events = [payment(tenant, i, START + 20 * i) for i in range(10)]
    for event in [*events, events[3]]:
        publish(publisher, "payments.transaction", event)
    publisher.flush()
    with scoring(own) as metrics:
        until(lambda: len(decisions(own, publisher, tenant)) == 11)
        until(lambda: "first_decision" in metrics.snapshot()["marks"])
    found = decisions(own, publisher, tenant)
    assert len({value for _, value in found}) == 10
    by_time = sorted({r["decided_for"]: r for r, _ in found}.items())
    assert [r["features"]["customer.count_24h"] for _, r in by_time] == [float(i) for i in range(1, 11)]
    assert [len(r["entities"][0]["events"]) for _, r in by_time] == list(range(1, 11))
    again = own.with_(serving={"group": f"{tenant}-again"})
    with scoring(again):
        until(lambda: len(decisions(own, publisher, tenant)) == 22)
    assert len({value for _, value in decisions(own, publisher, tenant)}) == 10


def test_labels_and_accounts_reach_the_next_decision(bank):
    """A chargeback known by then raises the merchant's risk; the account's age counts from its opening."""
    own, publisher, _ = bank
    tenant = f"t{uuid.uuid4().hex[:8]}"
    first, later = START, START + 9 * DAY_MS
    publish(publisher, "payments.account", opening(tenant), START)
    publish(publisher, "payments.transaction", payment(tenant, 1, first))
    publish(publisher, "fraud.label", label(tenant, 1, first, START + 5 * DAY_MS))
    publisher.flush()
    with scoring(own):
        until(lambda: len(decisions(own, publisher, tenant)) == 1)
        until(
            lambda: (
                Store(own.redis.url.get_secret_value()).read(specs.load().entity("merchant"), tenant, "m1")[1] != b""
            )
        )
        publish(publisher, "payments.transaction", payment(tenant, 2, later))
        publisher.flush()
        until(lambda: len(decisions(own, publisher, tenant)) == 2)
    last = max((r for r, _ in decisions(own, publisher, tenant)), key=lambda r: r["decided_for"])
    assert last["features"]["merchant.risk_7d"] == 1.0
    assert last["features"]["customer.account_age_days"] == 10.0


def test_what_streaming_has_not_reached_is_no_finding(bank, tmp_path):
    """Verify asks Kafka for payments, labels and accounts that silver lacks; what is nowhere is named."""
    own, publisher, store = bank
    tenant = f"t{uuid.uuid4().hex[:8]}"
    own = own.with_(data_dir=tmp_path, serving={"group": tenant, "verify_wait_s": 0})
    catalog, lake = load_catalog(own.contracts_dir), Lake.open(own)
    for number in (1, 2):
        known_ms = START + (4 + number) * DAY_MS
        events = {
            "payments.transaction": payment(tenant, number, START + number),
            "fraud.label": label(tenant, number, START + number, known_ms),
        }
        for name, event in events.items():
            publish(publisher, name, event, known_ms)
            if number == 1:
                wire = publisher.prepare(name, event, observed_at=known_ms).wire
                silver_files.write(lake, catalog[name], [(wire, 0, -1)])
    publish(publisher, "payments.account", opening(tenant), START)
    publisher.flush()
    merchant, customer = specs.load().entity("merchant"), specs.load().entity("customer")
    ref = publisher.prepare("payments.account", opening(tenant), observed_at=START).wire["subject_ref"]
    with scoring(own):
        until(lambda: header(store.read(customer, tenant, ref)[0]).born == START - DAY_MS)
        until(lambda: len(records(store.read(merchant, tenant, "m1")[1])) == 2)
        until(lambda: len(decisions(own, publisher, tenant)) == 2)
    for another, entity, ref in list(store.states()):
        if another != tenant:  # of earlier tests, read from Kafka again
            store.forget(another, ref, [entity])
    [check] = verify.checks(own)
    assert (check.ok, check.findings) == (True, ())
    planted = Batch()
    planted.label(merchant, tenant, "m1", pack_label(START + 5 * DAY_MS, hash48("nowhere"), hash48("t"), START, True))
    planted.born(customer, tenant, ref, START - 2 * DAY_MS)
    store.run(planted)
    [check] = verify.checks(own)
    assert not check.ok
    assert any("1 records of fraud.label that neither silver nor Kafka has" in f for f in check.findings)
    assert any("born when neither silver nor Kafka says so" in f for f in check.findings)


def test_a_lost_store_is_filled_again_before_it_answers(bank):
    """After Redis lost everything the same states come back from Kafka, and nothing is decided twice."""
    own, publisher, store = bank
    tenant = f"t{uuid.uuid4().hex[:8]}"
    for i in range(30):
        publish(publisher, "payments.transaction", payment(tenant, i, START + i * 60_000, merchant_id=f"m{i % 3}"))
    publisher.flush()
    with scoring(own):
        until(lambda: len(decisions(own, publisher, tenant)) == 30)
    before = states(store, tenant)
    store._send([("FLUSHDB",)])
    with scoring(own):
        publish(publisher, "payments.transaction", payment(tenant, 99, START + DAY_MS, customer_cpf="39053344705"))
        publisher.flush()
        until(lambda: len(decisions(own, publisher, tenant)) == 31)
        store.require_ready()
    after = states(store, tenant)
    assert {k: v for k, v in before.items() if k[0] == "customer"}.items() <= after.items()
    assert len(decisions(own, publisher, tenant)) == 31


def test_a_store_that_loses_its_memory_in_mid_run_is_noticed(bank):
    """The running scorer sees that the store holds less than it wrote and reads again from there."""
    own, publisher, store = bank
    tenant = f"t{uuid.uuid4().hex[:8]}"
    with scoring(own):
        for i in range(5):
            publish(publisher, "payments.transaction", payment(tenant, i, START + i))
        publisher.flush()
        until(lambda: len(decisions(own, publisher, tenant)) == 5)
        store._send([("FLUSHDB",)])
        publish(publisher, "payments.transaction", payment(tenant, 5, START + 5))
        publisher.flush()
        until(lambda: len(decisions(own, publisher, tenant)) == 6)
    last = max((r for r, _ in decisions(own, publisher, tenant)), key=lambda r: r["decided_for"])
    assert last["features"]["customer.count_24h"] == 6.0


# The last one: its unknown schema id stays in the topic, and each new group waits for it once.
def test_what_silver_refuses_touches_no_state(bank):
    """Wrong magic, garbage, trailing bytes, null, unknown id, no mask, a rule: each counted by its code."""
    own, publisher, store = bank
    tenant = f"t{uuid.uuid4().hex[:8]}"
    good = publisher.prepare("payments.transaction", payment(tenant, 1, START), observed_at=START)
    wire, encode = dict(good.wire), publisher._recipe("payments.transaction", None)._encode
    leak = encode({**wire, "event_id": "x1", "customer_cpf": {"mask": "529.982.247-25", "token": b"x"}})
    ahead = encode({**wire, "event_id": "x2", "occurred_at": START + DAY_MS})
    negative = encode({**wire, "event_id": "x3", "amount": -wire["amount"]})
    bad = [b"\x07" + good.value, good.value[:40], good.value + b"\0", None, leak, ahead, negative]
    bad.append(good.value[:1] + struct.pack(">I", 987_654) + good.value[5:])
    raw = Producer({"bootstrap.servers": own.kafka.bootstrap})
    for value in [*bad, good.value]:
        raw.produce("payments.transaction", key=good.key, value=value)
    assert raw.flush(30) == 0
    with scoring(own) as metrics:
        until(lambda: len(decisions(own, publisher, tenant)) == 1)
    refused = {s["labels"]["code"] for s in metrics.snapshot()["counters"] if s["name"] == "caudal_rejects_total"}
    assert refused >= {
        "CDL-MAGIC", "CDL-GARBAGE", "CDL-TRAILING", "CDL-NULL", "CDL-PLAINTEXT", "CDL-FUTURE", "CDL-RULE-AMOUNT",
        "CDL-UNKNOWN-ID",
    }  # fmt: skip
    assert len(states(store, tenant)) == 3
