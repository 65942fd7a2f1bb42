"""Invariants 4 and 5 on real Valkey and real Delta tables: they hold, and every tampering is named."""

import random
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pydantic import SecretStr

from caudal.lake import Lake
from caudal.settings import RedisSettings
from producers.publish import Publisher
from producers.publish_contracts import Contracts
from schemas.distribution import Released
from schemas.load import load_catalog
from serving.errors import NoDecision
from serving.features import facts, verify
from serving.features import spec as specs
from serving.features.records import Judge
from serving.features.spec import DAY_MS
from serving.features.store import Store, state_key
from serving.fraud import engine, replay
from serving.fraud.decide import Decider
from tests.support import silver_files
from tests.support.fraud import START, label, payment

TENANT = "bank"
DATABASE = 8


@dataclass
class Install:
    settings: Any
    store: Store
    lake: Lake
    catalog: Any


@pytest.fixture
def install(offline_settings, redis_url):
    """40 payments, an account and a chargeback, in the store and in silver, with the decisions on them."""
    url = f"{redis_url.rpartition('/')[0]}/{DATABASE}"
    own = offline_settings.with_(redis=RedisSettings(url=SecretStr(url)), serving={"verify_wait_s": 0})
    catalog = load_catalog(own.contracts_dir)
    released = {c.id: Released(c, {1: n + 1}) for n, c in enumerate(catalog.values())}
    store, lake, spec = Store(url), Lake.open(own), specs.load()
    store._send([("FLUSHDB",)])
    store.load()
    with Publisher(own, source="tests", contracts=Contracts.fixed(released)) as publisher:
        made = engine.Engine(store, publisher, Decider(spec, None))
        draw = random.Random(4)
        events = [
            payment(
                TENANT, i, START + i * DAY_MS // 2, merchant_id=f"m{draw.randint(0, 2)}",
                customer_cpf=draw.choice(["52998224725", "39053344705"]), amount=draw.randint(1, 900),
            )
            for i in range(40)
        ]  # fmt: skip
        wires = [publisher.prepare("payments.transaction", e, observed_at=e["occurred_at"]).wire for e in events]
        opened = publisher.prepare(
            "payments.account",
            {
                "event_id": "a", "tenant_id": TENANT, "account_id": "a1", "holder_cpf": "52998224725", "status": "open",
                "balance": 0, "opened_at": START - DAY_MS, "updated_at": START, "_op": "c", "_sequence": 1,
            },
            observed_at=START,
        ).wire  # fmt: skip
        charge = label(TENANT, 3, START + 3 * DAY_MS // 2, START + 5 * DAY_MS, events[3]["merchant_id"])
        chargeback = publisher.prepare("fraud.label", charge, observed_at=START + 5 * DAY_MS).wire
        cases = [engine.case(wire, spec, "kafka") for wire in wires]
        told = [
            engine.Told(facts.account(opened), START),
            engine.Told(facts.label(chargeback), START + 5 * DAY_MS),
        ]
        positions = {"payments.transaction:0": 40, "fraud.label:0": 1, "payments.account:0": 1}
        judge = Judge(released["fraud.decision"])
        # The account and the label become known in the middle: earlier decisions did not see them.
        decided = made.apply(cases[:20]) + made.apply([*told, *cases[20:]], positions)
    tables = {
        "payments.transaction": wires,
        "payments.account": [opened],
        "fraud.label": [chargeback],
        "fraud.decision": [judge.decode(d.value) for d in decided],
    }
    for contract, records in tables.items():
        silver_files.write(lake, catalog[contract], [(w, 0, n) for n, w in enumerate(records)])
    yield Install(own, store, lake, catalog)
    store.close()


def features(install):
    (check,) = verify.checks(install.settings)
    return check


def decisions(install):
    (check,) = replay.checks(install.settings)
    return check


def rewrite(install, name, change):
    """Replace a table's rows by changed ones."""
    path = install.lake.table("silver", name)
    table = DeltaTable(path).to_pyarrow_table()
    rows = table.to_pylist()
    write_deltalake(path, pa.Table.from_pylist(change(rows), schema=table.schema), mode="overwrite")


def test_an_honest_install_holds(install):
    """Every sampled state equals its rebuild and every decision is decided alike."""
    four, five = features(install), decisions(install)
    assert (four.ok, four.findings) == (True, ())
    assert (five.ok, five.findings) == (True, ())
    assert four.examined == 2 + 3 + 1
    assert five.examined == 40


def test_a_flipped_byte_in_the_store_is_found(install):
    """One bit of one amount."""
    tenant, entity, ref = next(s for s in install.store.states() if s[1] == "customer")
    key = state_key(tenant, entity, ref)
    raw = bytearray(install.store._client.get(key))
    raw[32 + 15] ^= 1
    install.store._client.set(key, bytes(raw))
    check = features(install)
    assert not check.ok
    assert any(ref[:12] in finding for finding in check.findings)


def test_a_missing_state_is_found(install):
    """A customer whose key is gone looks new; the proof starts from silver too."""
    tenant, entity, ref = next(s for s in install.store.states() if s[1] == "customer")
    install.store._client.delete(state_key(tenant, entity, ref))
    assert not features(install).ok


def test_an_erased_person_that_is_still_there_is_found(install):
    """A tombstone with a state beside it."""
    tenant, _, ref = next(s for s in install.store.states() if s[1] == "customer")
    kept = install.store._client.get(state_key(tenant, "customer", ref))
    install.store.forget(tenant, ref, ["customer"])
    install.store._client.set(state_key(tenant, "customer", ref), kept)
    assert any("erased" in finding for finding in features(install).findings)


def test_an_account_beyond_the_store_may_be_unknown_to_it(install):
    """An account that the scorer has not reached says nothing yet; one that it has reached must be known."""
    ref = DeltaTable(install.lake.table("silver", "payments_account")).to_pyarrow_table()["subject_ref"][0].as_py()
    key = state_key(TENANT, "customer", ref)
    raw = bytearray(install.store._client.get(key))
    raw[10:16] = bytes(6)
    install.store._client.set(key, bytes(raw))
    assert any("born is" in finding for finding in features(install).findings)
    install.store._one("HSET", "fs:1:positions", "payments.account:0", 0)
    assert features(install).ok


def test_what_silver_has_beyond_the_store_is_no_finding(install):
    """Payments that the scorer has not reached yet are in flight, not missing."""
    more = [(w, 0, 40 + n) for n, w in enumerate(_more(install))]
    silver_files.write(install.lake, install.catalog["payments.transaction"], more)
    assert features(install).ok


def _more(install):
    rows = DeltaTable(install.lake.table("silver", "payments_transaction")).to_pyarrow_table().to_pylist()
    return [
        {k: v for k, v in {**row, "event_id": f"new-{n}"}.items() if k not in ("_partition", "_offset", "_suppressed")}
        for n, row in enumerate(rows[:3])
    ]


@pytest.mark.parametrize(
    ("column", "value"), [("outcome", "reject"), ("score", 0.25), ("amount", 1), ("state_digest", "0" * 32)]
)
def test_an_altered_decision_is_found(install, column, value):
    """Whatever of a decision is changed in silver, the replay names that decision."""
    altered = []

    def change(rows):
        rows[7][column] = value
        altered.append(rows[7]["event_id"])
        return rows

    rewrite(install, "fraud_decision", change)
    check = decisions(install)
    assert not check.ok
    assert [altered[0]] == [finding.partition(":")[0] for finding in check.findings]
    assert not replay.replay(install.settings, altered[0]).same


def test_a_payment_that_left_silver_is_named(install):
    """A decision whose past is gone cannot be replayed, and says how much is missing."""
    rewrite(install, "payments_transaction", lambda rows: [r for r in rows if r["event_id"] != f"{TENANT}-0"])
    check = decisions(install)
    assert not check.ok
    assert any("not in silver" in finding for finding in check.findings)


def test_a_decision_is_found_by_its_payment(install):
    """Replay takes either id; another one is an error."""
    by_payment = replay.replay(install.settings, f"{TENANT}-5")
    assert by_payment.same
    assert replay.replay(install.settings, by_payment.decision_id) == by_payment
    with pytest.raises(NoDecision):
        replay.replay(install.settings, "nothing")
