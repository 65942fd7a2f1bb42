"""Events over HTTP: answered after Kafka has them, bound to the token's tenant, refused by code and field."""

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from caudal import tokens
from caudal.metrics import Metrics
from caudal.settings import KafkaSettings, Settings, WebSettings
from producers.encode import decode
from producers.intake.app import build
from schemas.apply import apply, first_error
from schemas.load import load_catalog
from tests.support.released import CATALOG
from tests.support.topic import read

pytestmark = pytest.mark.kafka
EVENT, ORDER = "product.event", "commerce.order"
URL = f"/v1/events/{EVENT}"


@dataclass(frozen=True)
class Http:
    """A client of a running intake, with a tenant and a token of this test alone."""

    client: TestClient
    settings: Settings
    store: tokens.TokenStore
    metrics: Metrics
    tenant: str
    token: str

    def post(self, body: object, *, token: str | None = None, url: str = URL, **headers: str):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        auth = {"Authorization": f"Bearer {token or self.token}"} if token != "" else {}
        return self.client.post(url, content=content, headers={**auth, **headers})

    def there(self, topic: str = EVENT) -> list[tuple[str, dict[str, object]]]:
        """(event id, wire record) of what this tenant has in the topic."""
        schema = CATALOG[topic].latest.wire
        found = [m for m in read(self.settings.kafka.bootstrap, topic) if self.tenant in json.loads(m.key())]
        return [(json.loads(m.key())[1], decode(m.value() or b"", schema)[1]) for m in found]


def opened(settings: Settings) -> Iterator[Http]:
    metrics = Metrics("web")
    mounted = build(settings, metrics)
    app = FastAPI()
    app.include_router(mounted.router)
    store = tokens.open_store(settings.data_dir)
    tenant = uuid.uuid4().hex
    with TestClient(app) as client:
        yield Http(client, settings, store, metrics, tenant, store.issue("ingest", tenant))
    store.close()
    mounted.close()


@pytest.fixture
def http(settings: Settings) -> Iterator[Http]:
    assert first_error(apply(settings, load_catalog(settings.contracts_dir), only={EVENT, ORDER})) is None
    yield from opened(settings.with_(web=WebSettings(max_body_bytes=200_000)))


def event(number: int, **changes: object) -> dict[str, object]:
    base = {
        "event_id": f"e{number}",
        "tier": "pro",
        "event_type": "page",
        "name": "home",
        "session_id": "s1",
        "user_email": "ana.souza@example.com",
        "properties": {"path": "/"},
        "occurred_at": "2026-01-01T00:00:00Z",
    }
    return {**base, **changes}


def test_one_event_is_accepted_once_it_is_in_the_topic(http: Http):
    """200 means that Kafka has the event, with the token's tenant, sealed, and the origin of the headers."""
    answer = http.post(
        event(1), **{"Caudal-Observed-At": "1767225600500", "Caudal-Source": "shop-app", "Caudal-Run": "r1"}
    )
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted", "event_id": "e1"})
    [(event_id, wire)] = http.there()
    assert event_id == "e1"
    assert wire["tenant_id"] == http.tenant
    assert wire["user_email"]["mask"] == "an***@example.com"
    assert (wire["origin"]["source"], wire["origin"]["run"]) == ("shop-app", "r1")
    assert int(wire["origin"]["observed_at"].timestamp() * 1000) == 1767225600500


def test_a_batch_gets_a_verdict_per_record(http: Http):
    """Good records are accepted, bad ones refused by code and field, in the order they came; no value is repeated."""
    batch = [
        event(1),
        event(2, tier="gold"),
        event(3, user_email=11144477735),
        event(4, tenant_id="somebody-else"),
        event(5, tenant_id=http.tenant),
        "text",
        event(6, extra="x"),
        {"event_id": "e7"},
    ]
    answer = http.post(batch)
    assert answer.status_code == 207
    assert {name: answer.json()[name] for name in ("accepted", "refused", "failed")} == {
        "accepted": 2,
        "refused": 6,
        "failed": 0,
    }
    assert answer.json()["records"] == [
        {"status": "accepted", "event_id": "e1"},
        {"status": "refused", "code": "CDL-RULE-TIER"},
        {"status": "refused", "code": "CDL-TYPE", "path": "user_email"},
        {"status": "refused", "code": "CDL-TENANT", "path": "tenant_id"},
        {"status": "accepted", "event_id": "e5"},
        {"status": "refused", "code": "CDL-SHAPE"},
        {"status": "refused", "code": "CDL-UNKNOWN-FIELD", "path": "extra"},
        {"status": "refused", "code": "CDL-NO-FIELD", "path": "tier"},
    ]
    assert "11144477735" not in answer.text
    assert sorted(event_id for event_id, _ in http.there()) == ["e1", "e5"]


def test_tokens_decide_who_may_push_what(http: Http):
    """No token or a wrong one is 401; another role, another contract or a built-in one is 403, and nothing is kept."""
    issue = http.store.issue
    assert [http.post(event(1), token=token).status_code for token in ("", "cdl_wrong")] == [401, 401]
    for token, url in (
        (issue("reader", http.tenant), URL),
        (issue("scorer"), URL),
        (issue("operator"), URL),
        (issue("ingest", http.tenant, ("commerce.order",)), URL),
        (http.token, "/v1/events/caudal.rejected"),
        (http.token, "/v1/events/fraud.decision"),
        (issue("ingest", http.tenant, ("caudal.rejected",)), "/v1/events/caudal.rejected"),
    ):
        refused = http.post(event(1), token=token, url=url)
        assert (refused.status_code, refused.json()["code"]) == (403, "CDL-FORBIDDEN")
    bound = http.post(event(2), token=issue("ingest", http.tenant, (EVENT,)))
    assert bound.status_code == 200
    assert [event_id for event_id, _ in http.there()] == ["e2"]


def test_the_tenant_never_comes_from_the_body(http: Http):
    """An event of another tenant is 403 with its own code, alone and in a batch of such."""
    for body in (event(1, tenant_id="other"), [event(1, tenant_id="other")]):
        assert http.post(body).status_code == 403
    assert http.post(event(1, tenant_id="other")).json() == {
        "status": "refused",
        "code": "CDL-TENANT",
        "path": "tenant_id",
    }
    assert http.there() == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{not json", 400, "CDL-JSON"),
        (b"\xff\xfe", 400, "CDL-JSON"),
        (b'{"a": NaN}', 400, "CDL-JSON"),
        (b"[" * 100_000, 400, "CDL-JSON"),
        (b'{"n": ' + b"9" * 5000 + b"}", 400, "CDL-JSON"),
        (b"[]", 422, "CDL-SHAPE"),
        (b'"text"', 422, "CDL-SHAPE"),
        (b" " * 200_001, 413, "CDL-TOO-LARGE"),
        (json.dumps([{}] * 1001).encode(), 413, "CDL-TOO-LARGE"),
        (b'{"event_id": "\\ud800"}', 422, "CDL-TYPE"),
    ],
)
def test_bad_bodies_are_coded_errors(http: Http, body: bytes, status: int, code: str):
    """A body that cannot be read is a 4xx with a code; it never reaches Kafka or a stack trace."""
    answer = http.post(body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_body_without_a_declared_length_is_cut_off_too(http: Http):
    """A stream that never says how long it is stops being read at the limit."""
    served = threading.Event()

    def endless() -> Iterator[bytes]:
        for _ in range(50):
            yield b" " * 10_000
        served.set()

    auth = {"Authorization": f"Bearer {http.token}"}
    assert http.client.post(URL, content=endless(), headers=auth).status_code == 413


def test_headers_and_contracts_that_do_not_fit(http: Http):
    """A contract that nobody released is 404, a bad origin header 422, a compressed body 415."""
    assert http.post({}, url="/v1/events/product.nothing").json()["code"] == "CDL-CONTRACT-UNKNOWN"
    assert http.post({}, url="/v1/events/product.nothing").status_code == 404
    assert http.post(event(1), **{"Caudal-Observed-At": "soon"}).json()["path"] == "Caudal-Observed-At"
    assert http.post(event(1), **{"Caudal-Source": "a b"}).status_code == 422
    assert http.post(event(1), **{"Content-Encoding": "gzip"}).status_code == 415


def test_money_keeps_its_digits(http: Http):
    """A JSON number with more digits than a float holds arrives exactly."""
    order = {
        "event_id": "o1",
        "order_id": "o1",
        "currency": "BRL",
        "items_count": 0,
        "line_items": [],
        "created_at": 1,
        "updated_at": 2,
    }
    body = json.dumps(order)[:-1] + ', "total": 9007199254740993.01}'
    token = http.store.issue("ingest", http.tenant)
    assert http.post(body.encode(), token=token, url=f"/v1/events/{ORDER}").status_code == 200
    assert [str(wire["total"]) for _, wire in http.there(ORDER)] == ["9007199254740993.01"]


def test_concurrent_requests_are_all_answered_and_stored_once(http: Http):
    """Many requests at once share commits; each event is acknowledged and in the topic exactly once."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: http.post([event(n), event(n + 1000)]).status_code, range(60)))
    assert answers == [200] * 60
    found = [event_id for event_id, _ in http.there()]
    assert sorted(found) == sorted(f"e{n}" for n in [*range(60), *range(1000, 1060)])
    counted = {(s["name"], s["labels"].get("stage")): s["value"] for s in http.metrics.snapshot()["counters"]}
    assert counted["caudal_rows_total", "kafka"] == 120


def test_a_broker_that_is_away_is_503(settings: Settings, tmp_path: Path):
    """Without a broker nothing is acknowledged: 503 with Retry-After and a code, for single events and batches."""
    away = settings.with_(
        data_dir=tmp_path / "away",
        kafka=KafkaSettings(bootstrap="127.0.0.1:1"),
        schemas={"deadline_s": 1},
        producers={"intake_deadline_s": 1},
    )
    for http in opened(away):
        answer = http.post(event(1))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.json()["code"].startswith("CDL-")
