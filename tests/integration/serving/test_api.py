from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response

from caudal import tokens
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import RedisSettings, RegistrySettings, Settings
from serving.api import app as api
from tests.support import gold_lake as gold

HOME, AWAY = gold.SHOPS


@dataclass
class Site:
    """An API on a lake, with tokens of two shops and of an operator."""

    client: TestClient
    lake: Lake
    store: tokens.TokenStore
    token: dict[str, str]

    def get(self, path: str, who: str | None = HOME, **headers: str) -> Response:
        if who is not None:
            headers["Authorization"] = f"Bearer {self.token[who]}"
        return self.client.get(path, headers=headers)


def opened(folder: Path, **api_section: object) -> Iterator[Site]:
    settings = Settings.model_validate(
        {
            "data_dir": folder,
            "serving": {"api": {"probe_s": 0.3, "rate_per_s": 1000, "burst": 10_000, **api_section}},
            # ports on which nobody listens
            "kafka": {"bootstrap": "127.0.0.1:9"},
            "registry": RegistrySettings(url="http://127.0.0.1:9"),
            "redis": RedisSettings.model_validate({"url": "redis://127.0.0.1:9/0"}),
        }
    )
    mounted = api.build(settings, Metrics("web", settings.run_dir / "metrics"))
    app = FastAPI()
    app.include_router(mounted.router)
    store = tokens.open_store(folder)
    token = {shop: store.issue("reader", shop) for shop in (HOME, AWAY, "nobody")}
    token["operator"] = store.issue("operator")
    token["scorer"] = store.issue("scorer", HOME)
    yield Site(TestClient(app, raise_server_exceptions=False), Lake.open(settings), store, token)
    mounted.close()
    store.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Site]:
    yield from opened(tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    for made in opened(tmp_path):
        gold.publish_live(made.lake)
        gold.publish_full(made.lake)
        yield made


def test_unpublished_gold_says_so(empty: Site) -> None:
    """Before the first publish every reader hears 503 with a reason and when to come back."""
    for path in ("/v1/gold", "/v1/gold/fct_orders", "/v1/gold/fct_orders/order_id/1"):
        answer = empty.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "CDL-NOT-PUBLISHED")
        assert answer.json()["why"]
        assert answer.headers["retry-after"] == "5"
    gold.publish_live(empty.lake)
    assert empty.get("/v1/gold/fct_orders").status_code == 200
    assert empty.get("/v1/gold/dim_customers").status_code == 503


def test_a_page_is_the_tenants_own(site: Site) -> None:
    """Rows, counts and values come from the token's tenant at the published version, money exact."""
    body = site.get("/v1/gold/fct_orders?order=-total&limit=2&columns=order_id,total").json()
    assert body["rows"] == [{"order_id": f"{HOME}-19", "total": "19.10"}, {"order_id": f"{HOME}-18", "total": "18.10"}]
    assert (body["table"], body["version"], body["age_s"] >= 0) == ("fct_orders", 0, True)
    assert {HOME} == {row["tenant_id"] for row in site.get("/v1/gold/fct_orders").json()["rows"]}
    assert {HOME, AWAY} == {row["tenant_id"] for row in site.get("/v1/gold/fct_orders", "operator").json()["rows"]}
    counts = {who: {m["mart"]: m["rows"] for m in site.get("/v1/gold", who).json()["marts"]} for who in site.token
              if who != "scorer"}  # fmt: skip
    assert (counts[HOME]["fct_orders"], counts[AWAY]["fct_orders"]) == (20, 10)
    assert counts["operator"]["fct_orders"] == 30
    assert set(counts["nobody"].values()) == {0}


def test_filters_reach_every_type(site: Site) -> None:
    """Filters on money, flags, dates and times select what they say."""
    for text, expected in (
        ("total.gte=18.10", 2),
        ("has_customer=false", 7),
        ("ordered_date=2026-05-04", 20),
        ("updated_at.lt=2026-05-04T09:02:00-03:00", 2),
        (f"order_id={HOME}-3", 1),
        (f"tenant_id={AWAY}", 0),
    ):
        assert len(site.get(f"/v1/gold/fct_orders?{text}").json()["rows"]) == expected, text


def test_paging_walks_one_version(site: Site) -> None:
    """Pages of one walk come from the version it began with, though newer ones are published in between."""
    path, seen, versions, cursor = "/v1/gold/fct_orders?limit=6&order=order_id", [], set(), ""
    while cursor is not None:
        body = site.get(path + (f"&cursor={cursor}" if cursor else "")).json()
        seen += [row["order_id"] for row in body["rows"]]
        versions.add(body["version"])
        cursor = body["next_cursor"]
        gold.publish_live(site.lake, scale=2)
    assert sorted(f"{HOME}-{n}" for n in range(20)) == seen
    assert versions == {0}


def test_a_cursor_belongs_to_its_tenant(site: Site) -> None:
    """Another tenant's cursor is refused in the words that a made-up one gets."""
    cursor = site.get("/v1/gold/fct_orders?limit=6").json()["next_cursor"]
    stolen = site.get(f"/v1/gold/fct_orders?limit=6&cursor={cursor}", AWAY)
    invented = site.get("/v1/gold/fct_orders?limit=6&cursor=abc", AWAY)
    assert stolen.status_code == 400
    assert (stolen.status_code, stolen.json()) == (invented.status_code, invented.json())


def test_the_published_version_is_the_tag(site: Site) -> None:
    """An answer carries its version as ETag; the same version again is 304, a new one is 200."""
    tag = site.get("/v1/gold/fct_orders").headers["etag"]
    assert site.get("/v1/gold/fct_orders", **{"If-None-Match": tag}).status_code == 304
    gold.publish_live(site.lake)
    assert site.get("/v1/gold/fct_orders", **{"If-None-Match": tag}).status_code == 200


def test_another_tenants_object_is_no_object(site: Site) -> None:
    """Own objects are found; another's and an invented one give the same status and body."""
    assert site.get(f"/v1/gold/fct_orders/order_id/{HOME}-3").json()["row"]["total"] == "3.10"
    other = site.get(f"/v1/gold/fct_orders/order_id/{AWAY}-3")
    invented = site.get("/v1/gold/fct_orders/order_id/never-was")
    assert other.status_code == 404
    assert (other.status_code, other.content) == (invented.status_code, invented.content)
    assert site.get(f"/v1/gold/fct_orders/order_id/{AWAY}-3", AWAY).status_code == 200
    many = site.get("/v1/gold/fct_orders/currency/BRL")
    assert (many.status_code, many.json()["code"]) == (400, "CDL-BAD-QUERY")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/gold/fct_order", 400, "did you mean fct_orders?"),
        ("/v1/gold/../../etc/passwd", 404, ""),
        ("/v1/gold/fct_orders?totla=1", 400, "did you mean total?"),
        ("/v1/gold/fct_orders?total.ge=1", 400, "gte"),
        ("/v1/gold/fct_orders?limit=100000", 413, "from 1 to 1000"),
        ("/v1/gold/fct_orders?total=cheap", 400, "decimal"),
        ("/v1/gold/fct_orders/shop/x", 400, ""),
    ],
)
def test_what_does_not_fit_is_told(site: Site, path: str, status: int, says: str) -> None:
    """Unknown marts and columns name the nearest, and values are not repeated."""
    answer = site.get(path)
    assert answer.status_code == status
    assert says in answer.text
    assert "cheap" not in answer.text
    assert "passwd" not in answer.text


def test_roles_are_kept_apart(site: Site) -> None:
    """No token, a wrong one, a wrong role: 401, 401, 403; the operator's routes are the operator's."""
    assert site.get("/v1/gold", None).status_code == 401
    assert site.client.get("/v1/gold", headers={"Authorization": "Bearer cdl_x"}).status_code == 401
    assert site.get("/v1/gold", "scorer").status_code == 403
    for path in ("/v1/status", "/metrics"):
        assert site.get(path).status_code == 403
        assert site.get(path, "operator").status_code == 200
    expired = site.store.issue("reader", HOME, lifetime_s=-1)
    assert site.client.get("/v1/gold", headers={"Authorization": f"Bearer {expired}"}).status_code == 401


def test_a_token_has_a_rate(tmp_path: Path) -> None:
    """Above its rate a token hears 429 and when to come back, and another token is not held."""
    for site in opened(tmp_path, rate_per_s=0.5, burst=3):
        answers = [site.get("/v1/gold") for _ in range(4)]
        assert [a.status_code for a in answers] == [503, 503, 503, 429]
        assert answers[-1].headers["retry-after"] == "2"
        assert answers[-1].json()["code"] == "CDL-RATE"
        assert site.get("/v1/gold", AWAY).status_code == 503


def test_readers_never_see_a_half_published_set(site: Site) -> None:
    """While versions are published as fast as they can be, each answer's rows fit its version."""
    wrong: list[str] = []
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            body = site.get("/v1/gold/fct_orders?limit=1000").json()
            expected = 20 * (1 + body["version"] % 3)
            if len(body["rows"]) != expected:
                wrong.append(f"version {body['version']} had {len(body['rows'])} rows, not {expected}")

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for version in range(1, 7):
        gold.publish_live(site.lake, scale=1 + version % 3)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_missing_file_is_told_as_storage(site: Site) -> None:
    """When files of a published table are gone the reader hears 503 and where to look, not a stack trace."""
    for file in (Path(site.lake.uri) / "gold" / "fct_orders").glob("*.parquet"):
        file.unlink()
    answer = site.get("/v1/gold/fct_orders")
    assert (answer.status_code, answer.json()["code"]) == (503, "CDL-GOLD-OPEN")
    assert "parquet" not in answer.text
    assert site.get("/v1/gold/fct_transactions").status_code == 200


def test_operators_see_the_install(site: Site) -> None:
    """Status has stages, processes, gold, quality and alarms."""
    run = Path(site.lake.uri).parent / "run"
    (run / "metrics").mkdir(parents=True)
    metrics = Metrics("streaming", run / "metrics")
    metrics.count("caudal_rows_total", 7, stage="raw", contract="commerce.order")
    metrics.ready()
    metrics.flush()
    (run / "alerts.jsonl").write_text('{"at": 1, "code": "CDL-PLAINTEXT", "summary": "s"}\n')
    site.lake.write_atomic("_quality/latest-live.json", json.dumps({"group": "live", "results": []}).encode())
    body = site.get("/v1/status", "operator").json()
    assert next(s["rows"] for s in body["stages"] if s["stage"] == "raw") == 7
    assert body["processes"][0]["ready"]
    assert body["quality"]["live"]["group"] == "live"
    assert {m["mart"] for m in body["gold"]} == set(gold.SCHEMAS)
    assert [a["code"] for a in body["alerts"]] == ["CDL-PLAINTEXT"]
    assert 'caudal_gold_rows{group="live",mart="fct_orders"} 30' in site.get("/metrics", "operator").text


def test_readiness_names_what_is_away(site: Site) -> None:
    """With every server away: 503, each dependency with its milliseconds and the reason; alive all the same."""
    answer = site.get("/readyz", None)
    body = answer.json()
    assert (answer.status_code, body["ready"]) == (503, False)
    assert {name: d["ok"] for name, d in body["dependencies"].items()} == {
        "kafka": False, "registry": False, "redis": False, "lake": True,
    }  # fmt: skip
    assert all(d["ms"] >= 0 for d in body["dependencies"].values())
    assert "kafka" in body["reason"]
    assert site.get("/healthz", None).status_code == 200
    assert site.get("/version", None).json()["name"] == "caudal"


def test_a_page_is_quick(site: Site) -> None:
    """A page of a small mart takes far less than the half second that is promised to users."""
    site.get("/v1/gold/fct_orders")
    started = time.perf_counter()
    for _ in range(20):
        assert site.get("/v1/gold/fct_orders?limit=10").status_code == 200
    assert (time.perf_counter() - started) / 20 < 0.25
