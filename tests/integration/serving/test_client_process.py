"""The score and feature routes over real HTTP, and a client of another house that decides by itself."""

import json
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import httpx2 as httpx
import pytest
import uvicorn
from fastapi import FastAPI

from caudal.metrics import Metrics
from caudal.tokens import open_store
from producers.publish import Publisher
from serving.features import spec as specs
from serving.features.store import Store
from serving.fraud import api
from tests.support.fraud import START, bank_settings, decisions, payment, scoring, until

pytestmark = pytest.mark.kafka
CLIENT = Path(__file__).resolve().parents[2] / "support" / "outside_client.py"


@pytest.fixture
def web(settings):
    own = bank_settings(settings, f"web-{uuid.uuid4().hex[:8]}")
    store = Store(own.redis.url.get_secret_value())
    store._send([("FLUSHDB",)])
    store.load()
    store.opened()
    mounted = api.build(own, Metrics("web"))
    application = FastAPI()
    application.include_router(mounted.router)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(application, port=port, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield own, f"http://127.0.0.1:{port}", store
    server.should_exit = True
    thread.join(timeout=30)
    mounted.close()
    store.close()


def token(own, tenant, role="scorer"):
    tokens = open_store(own.data_dir)
    try:
        return tokens.issue(role, tenant)
    finally:
        tokens.close()


def post(url, path, secret, body, **params):
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    content = body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
    with httpx.Client(timeout=60) as client:
        return client.post(f"{url}{path}", content=content, headers=headers, params=params)


def event(tenant, number, at_ms, **given):
    body = payment(tenant, number, at_ms, **given)
    return {k: v for k, v in body.items() if k != "tenant_id"}


def test_another_process_reads_features_and_decides(web, tmp_path):
    """Identifiers and a scorer token are all it needs; what it reads is what was scored a moment ago."""
    own, url, _ = web
    tenant = f"t{uuid.uuid4().hex[:8]}"
    secret = token(own, tenant)
    for i in range(5):
        answer = post(url, "/v1/score", secret, event(tenant, i, START + i * 1000), observed_at=START + i * 1000)
        assert answer.status_code == 200, answer.text
        assert answer.json()["features"]["customer.count_24h"] == i + 1
    (tmp_path / "token").write_text(secret)
    cases = [
        {"customer_cpf": "529.982.247-25", "merchant_id": "m1", "as_of": START + 5000},
        {"customer_cpf": "390.533.447-05", "merchant_id": "m1", "as_of": START + 5000},
    ]
    (tmp_path / "cases").write_text("\n".join(json.dumps(c) for c in cases))
    out = subprocess.run(
        [sys.executable, str(CLIENT), url, str(tmp_path / "token"), str(tmp_path / "cases")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert [json.loads(line) for line in out.stdout.splitlines()] == [
        {"decision": "stop", "count": 5.0},
        {"decision": "go", "count": 0.0},
    ]


def test_http_and_the_loop_give_one_decision(web):
    """Asked twice over HTTP and once more by the loop: the same bytes each time, one payment in the state."""
    own, url, store = web
    tenant = f"t{uuid.uuid4().hex[:8]}"
    secret = token(own, tenant)
    body = event(tenant, 1, START, amount="12.34")
    first, second = (post(url, "/v1/score", secret, body, observed_at=START) for _ in range(2))
    assert first.json() == second.json()
    assert first.json()["features"]["amount"] == 12.34
    with Publisher(own, source="tests") as publisher:
        with scoring(own):
            until(lambda: len(decisions(own, publisher, tenant)) == 4)
        assert len({value for _, value in decisions(own, publisher, tenant)}) == 1
    spec = specs.load()
    found = {e: store.read(spec.entity(e), t, r)[0] for t, e, r in store.states() if t == tenant}
    assert {name: int.from_bytes(value[2:4], "big") for name, value in found.items()} == {
        "customer": 1, "merchant": 1, "device": 1,
    }  # fmt: skip


def test_a_tenant_never_sees_anothers_state(web):
    """The same identifiers under another tenant's token are strangers, and a body cannot name another tenant."""
    own, url, _ = web
    mine, other = (f"t{uuid.uuid4().hex[:8]}" for _ in range(2))
    secrets = {tenant: token(own, tenant) for tenant in (mine, other)}
    post(url, "/v1/score", secrets[mine], event(mine, 1, START), observed_at=START)
    who = {"customer_cpf": "52998224725", "merchant_id": "m1", "device_id": "phone-1", "as_of": START}
    seen = {t: post(url, "/v1/features", s, who).json()["rows"][0] for t, s in secrets.items()}
    assert seen[mine]["features"]["customer.count_24h"] == 1.0
    assert {k: v for k, v in seen[other]["features"].items() if k.endswith(".count_24h")} == {
        "customer.count_24h": 0.0, "merchant.count_24h": 0.0, "device.count_24h": 0.0,
    }  # fmt: skip
    answer = post(url, "/v1/features", secrets[other], {**who, "tenant_id": mine})
    assert (answer.status_code, answer.json()["code"]) == (403, "CDL-TENANT")


def test_what_does_not_fit_is_told_by_code(web):
    """A code and a field, and never the value."""
    own, url, _ = web
    secret = token(own, "t1")
    wrong = [
        ("/v1/score", b"{", 400, "CDL-JSON"),
        ("/v1/score", b'{"amount": NaN}', 400, "CDL-JSON"),
        ("/v1/score", b"[]", 400, "CDL-SHAPE"),
        ("/v1/score", {"event_id": "x"}, 422, "CDL-NO-FIELD"),
        ("/v1/score", {"nonsense": 1}, 422, "CDL-UNKNOWN-FIELD"),
        ("/v1/features", {"name_of_cat": "zanzibar"}, 422, "CDL-UNKNOWN-FIELD"),
        ("/v1/features", {"customer_cpf": 5}, 422, "CDL-TYPE"),
        ("/v1/features", {"rows": 5}, 422, "CDL-SHAPE"),
        ("/v1/features", {"amount": "abc"}, 422, "CDL-TYPE"),
    ]
    for path, body, status, code in wrong:
        answer = post(url, path, secret, body)
        assert (path, answer.status_code, answer.json()["code"]) == (path, status, code)
        assert "zanzibar" not in answer.text


def test_tokens_and_payments_that_may_not_pass(web):
    """No token, another role, a negative amount, an event from the future."""
    own, url, _ = web
    secret = token(own, "t1")
    body = event("t1", 1, START)
    got = [
        post(url, "/v1/score", None, body),
        post(url, "/v1/score", token(own, "t1", "reader"), body),
        post(url, "/v1/score", secret, {**body, "amount": "-1"}, observed_at=START),
        post(url, "/v1/score", secret, body, observed_at=START - 600_000),
    ]
    assert [(a.status_code, a.json()["code"]) for a in got] == [
        (401, "CDL-TOKEN"), (403, "CDL-ROLE"), (422, "CDL-RULE-AMOUNT"), (422, "CDL-FUTURE"),
    ]  # fmt: skip


def test_a_store_that_is_being_filled_answers_nobody(web):
    """503 with a time to come back, on both routes, and nothing reaches Kafka."""
    own, url, store = web
    store.loading("payments.transaction:0", True)
    secret = token(own, "t1")
    got = [
        post(url, "/v1/score", secret, event("t1", 1, START), observed_at=START),
        post(url, "/v1/features", secret, {"customer_cpf": "52998224725"}),
    ]
    assert [(a.status_code, a.json()["code"], a.headers["retry-after"]) for a in got] == [(503, "CDL-STORE", "5")] * 2
