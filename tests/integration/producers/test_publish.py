"""Publishing to a real broker: what is acknowledged is there, once, sealed, under its registry id."""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from caudal.settings import KafkaSettings, Settings
from privacy.reveal import reveal
from producers.encode import decode
from producers.errors import NotDelivered, UnknownContract
from producers.publish import Publisher
from producers.publish_contracts import Contracts
from producers.publish_prepare import Prepared
from schemas import wire
from schemas.apply import apply, first_error
from schemas.contract import Catalog, Contract, Version
from schemas.distribution import Released
from schemas.load import load_catalog
from schemas.registry import client
from tests.support.released import contracts
from tests.support.topic import read

pytestmark = pytest.mark.kafka
ORDER = "commerce.order"


def order(tenant: str, number: int) -> dict[str, object]:
    return {
        "event_id": f"e{number}",
        "shop_id": tenant,
        "order_id": f"o{number}",
        "currency": "BRL",
        "total": "99.90",
        "items_count": 1,
        "line_items": [{"line_id": "1", "quantity": 1, "price": "99.90"}],
        "customer_id": "c1",
        "customer_email": "ana.souza@example.com",
        "created_at": 1_700_000_000_000,
        "updated_at": 1_700_000_000_000 + number,
    }


@pytest.fixture
def applied(settings: Settings) -> Settings:
    """Settings on a broker that has the contracts these tests publish to."""
    assert first_error(apply(settings, load_catalog(settings.contracts_dir), only={ORDER, "caudal.rejected"})) is None
    return settings


@pytest.fixture
def publisher(applied: Settings) -> Iterator[Publisher]:
    with Publisher(applied, source="test") as opened:
        yield opened


def records(settings: Settings, topic: str, tenant: str) -> list[tuple[list[object], bytes | None, dict[str, bytes]]]:
    """(key, value, headers) of a tenant's records."""
    found = [(json.loads(m.key()), m.value(), dict(m.headers() or [])) for m in read(settings.kafka.bootstrap, topic)]
    return [record for record in found if tenant in record[0]]


def test_acknowledged_events_are_in_the_topic_once(publisher: Publisher, applied: Settings):
    """After flush every event is there once, readable through its registry id, with nothing personal in clear."""
    tenant = uuid.uuid4().hex
    events = [order(tenant, number) for number in range(300)]
    answers = publisher.publish_many(ORDER, events, observed_at=1_700_000_000_000)
    publisher.flush()
    found = records(applied, ORDER, tenant)
    assert sorted(key[1] for key, _, _ in found) == sorted(str(event["order_id"]) for event in events)
    assert (publisher.stats.delivered, publisher.stats.waiting, publisher.stats.failed) == (300, 0, 0)
    contract = publisher.contracts.get(ORDER).contract
    value = found[0][1]
    assert value is not None
    registry_id, record = decode(value, contract.latest.wire)
    there = client.make(applied).get_schema(registry_id)
    assert json.loads(there.schema_str)["name"] == contract.latest.wire["name"]
    assert isinstance(answers[0], Prepared)
    assert b"ana.souza" not in b"".join(value or b"" for _, value, _ in found)
    token, ref = record["customer_email"]["token"], record["subject_ref"]
    assert reveal(publisher.vault, contract, tenant, "customer_email", token, ref) == "ana.souza@example.com"


def test_a_delete_is_a_null_value_with_its_headers(publisher: Publisher, applied: Settings):
    """A delete carries event id, sequence and observation as headers, under the key of what it deletes."""
    tenant = uuid.uuid4().hex
    publisher.publish(ORDER, order(tenant, 1))
    key = {"order_id": "o1", "shop_id": tenant}
    publisher.delete(ORDER, key, sequence=1_700_000_009_999, event_id="d1", observed_at=1_700_000_010_000)
    publisher.flush()
    created, deleted = records(applied, ORDER, tenant)
    assert created[0] == deleted[0] == [tenant, "o1"]
    assert deleted[1] is None
    assert deleted[2] == {
        "caudal-event-id": b"d1",
        "caudal-sequence": b"[1700000009999]",
        "caudal-observed-at": b"1700000010000",
    }


def test_threads_share_a_publisher(publisher: Publisher, applied: Settings):
    """Events from several threads all arrive, and one person has one ref whoever came first."""
    tenant = uuid.uuid4().hex

    def work(start: int) -> None:
        for number in range(start, start + 40):
            publisher.publish(ORDER, order(tenant, number))

    threads = [threading.Thread(target=work, args=(start,)) for start in range(0, 200, 40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.flush()
    found = records(applied, ORDER, tenant)
    schema = publisher.contracts.get(ORDER).contract.latest.wire
    assert len({key[1] for key, _, _ in found}) == len(found) == 200
    assert len({decode(value or b"", schema)[1]["subject_ref"] for _, value, _ in found}) == 1


def grown(contract: Contract) -> Contract:
    """The contract with one more version: a new optional field."""
    avsc = contract.latest.avsc
    field = {"name": "gift_note_id", "type": ["null", "string"], "default": None}
    avsc = {**avsc, "fields": [*avsc["fields"], field]}
    number = contract.latest.number + 1
    return replace(contract, versions=(*contract.versions, Version(number, avsc, wire.derive(contract, avsc))))


def test_a_new_version_is_published_without_a_restart(settings: Settings, tmp_path: Path):
    """A running publisher picks up a released version, uses it by default, and still writes the old one on demand."""
    first = replace(load_catalog(settings.contracts_dir)[ORDER], id=f"test.e{uuid.uuid4().hex[:8]}", source_dir=None)
    assert first_error(apply(settings, Catalog({first.id: first}))) is None
    tenant = uuid.uuid4().hex
    polled = settings.with_(producers={"contract_poll_s": 0.1})
    with Publisher(polled, source="test") as publisher:
        publisher.publish(first.id, order(tenant, 1))
        second = grown(first)
        assert first_error(apply(settings, Catalog({first.id: second}))) is None
        seen = threading.Event()
        while len(publisher.contracts.get(first.id).contract.versions) < 2:
            assert not seen.wait(0.05)
        publisher.publish(first.id, {**order(tenant, 2), "gift_note_id": "g"})
        publisher.publish(first.id, order(tenant, 3), version=1)
        publisher.flush()
        ids = publisher.contracts.get(first.id).ids
    by_order = {
        key[1]: int.from_bytes((value or b"")[1:5], "big") for key, value, _ in records(settings, first.id, tenant)
    }
    assert by_order == {"o1": ids[1], "o2": ids[2], "o3": ids[1]}


def test_nothing_is_registered_by_publishing(settings: Settings):
    """An event of a contract that nobody applied is refused; subject and topic do not appear."""
    with Publisher(settings, source="test") as publisher, pytest.raises(UnknownContract):
        publisher.publish("test.never", order("t", 1))
    assert "test.never-value" not in client.make(settings).get_subjects()


def unreachable() -> str:
    """An address where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{held.getsockname()[1]}"


def test_a_broker_that_is_away_is_reported_after_the_deadline(offline_settings: Settings):
    """Without a broker records wait until the deadline, then flush says how many were not delivered."""
    away = offline_settings.with_(kafka=KafkaSettings(bootstrap=unreachable()))
    reasons: list[str | None] = []
    with Publisher(away, source="test", deadline_s=1, contracts=contracts()) as publisher:
        publisher.publish(ORDER, order("t", 1), on_delivery=lambda _, why: reasons.append(why))
        with pytest.raises(NotDelivered) as caught:
            publisher.flush()
        assert (caught.value.failed, caught.value.waiting, caught.value.retryable) == (1, 0, True)
        publisher.flush(0)
    assert reasons == ["_MSG_TIMED_OUT"]


def test_a_topic_that_is_missing_is_a_failure_not_a_new_topic(settings: Settings):
    """A released contract whose topic is gone fails its records; the topic does not appear by itself."""
    known = load_catalog(settings.contracts_dir)[ORDER]
    ghost = replace(known, id=f"test.g{uuid.uuid4().hex[:8]}")
    fixed = Contracts.fixed({ghost.id: Released(ghost, {1: 1})})
    with Publisher(settings, source="test", deadline_s=2, contracts=fixed) as publisher:
        publisher.publish(ghost.id, order("t", 1))
        with pytest.raises(NotDelivered) as caught:
            publisher.flush()
    assert caught.value.failed == 1
