from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from fastapi import FastAPI
from fastapi.testclient import TestClient

from caudal import tokens
from caudal.cli.web import DeadLetters
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from serving.dashboard import app as dashboard
from tests.support import dashboard_lake
from tests.support.silver_trail import trail

NOW = dashboard_lake.NOW


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    made = Settings(data_dir=tmp_path_factory.mktemp("install"))
    lake = Lake.open(made)
    dashboard_lake.fill(lake)
    trail(lake, "bank-a", "bank-a-e1", NOW)
    write_deltalake(lake.table("quarantine", "dead_letters"), letters())
    return made


def letters() -> pa.Table:
    """Two dead letters of a contract that is there."""
    rows = [
        {"topic": "commerce.order", "partition": 0, "offset": n, "contract": "commerce.order", "path": "total",
         "code": "CDL-RULE-NEG_TOTAL", "schema_id": None, "contract_version": 1, "at": NOW, "_batch": 1}
        for n in (7, 8)
    ]  # fmt: skip
    kinds = {"partition": pa.int32(), "schema_id": pa.int32(), "contract_version": pa.int32(),
             "offset": pa.int64(), "_batch": pa.int64(), "at": pa.timestamp("us", "UTC")}  # fmt: skip
    return pa.Table.from_pylist(rows, pa.schema([(name, kinds.get(name, pa.string())) for name in rows[0]]))


def client_of(settings: Settings, tenant: str | None = None) -> Iterator[TestClient]:
    mounted = dashboard.build(settings, Metrics("web"), DeadLetters(settings))
    app = FastAPI()
    app.include_router(mounted.router)
    store = tokens.open_store(settings.data_dir)
    client = TestClient(app, follow_redirects=False)
    client.cookies.set("caudal_session", store.issue("operator", tenant))
    yield client
    store.close()
    mounted.close()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    yield from client_of(settings)


@pytest.fixture
def of_bank_b(settings: Settings) -> Iterator[TestClient]:
    yield from client_of(settings, "bank-b")


LOOKS = (
    "/look/marts/fct_orders", "/look/rows/fct_orders", "/look/road/fct_orders?tenant=a&value=b", "/look/letters",
    "/look/letters/commerce.order:0:7", "/live?page=commerce",
)  # fmt: skip


@pytest.mark.parametrize("path", LOOKS)
def test_nobody_looks_without_a_session(client: TestClient, path: str) -> None:
    """Every route that shows data refuses without a session, also one whose object is not there."""
    client.cookies.clear()
    assert client.get(path).status_code == 401


def test_rows_are_those_of_the_api(client: TestClient) -> None:
    """A number leads to its rows by the API's own parameters, with version and age."""
    answer = client.get("/look/rows/fct_orders?tenant_id.eq=casa-verde&limit=5&columns=order_id,tenant_id")
    body = answer.json()
    assert {row["tenant_id"] for row in body["rows"]} == {"casa-verde"}
    assert (len(body["rows"]), body["version"], body["next_cursor"] is not None) == (5, 0, True)
    about = client.get("/look/marts/fct_orders").json()
    assert about["road"] == ["tenant_id", "order_id"]
    assert about["columns"]["published_at"] == "time"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/look/rows/fct_order", 400),
        ("/look/rows/fct_orders?nope.eq=1", 400),
        ("/look/rows/fct_orders?limit=5000", 413),
        ("/look/road/dim_shops?tenant=a&value=b", 400),
        ("/look/road/dim_products?tenant=a&value=b", 404),
        ("/look/road/fct_orders?tenant=casa-verde&value='%20OR%20TRUE", 404),
        ("/look/road/fct_orders", 404),
        ("/look/letters/commerce.order:0:99", 404),
        ("/look/letters/commerce.order:0:x", 400),
        ("/look/letters/%27;--:0:1", 404),
        ("/live?page=nope", 404),
    ],
)
def test_what_is_not_there_is_refused(client: TestClient, path: str, status: int) -> None:
    """Unknown marts, columns, rows, letters and pages get the API's coded answers."""
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"].startswith("CDL-")) == (status, True)


def test_a_payment_has_a_road(client: TestClient) -> None:
    """From source to decision each stage says when, with coordinates and no value of the event."""
    hops: list[dict[str, Any]] = client.get("/look/road/fct_transactions?tenant=bank-a&value=bank-a-e1").json()["hops"]
    assert [hop["stage"] for hop in hops] == ["source", "sealed", "kafka", "raw", "silver", "gold", "decision"]
    at = {hop["stage"]: hop["at"] for hop in hops}
    assert (at["sealed"], at["silver"]) == ("2026-05-04T12:00:00.000Z", "2026-05-04T12:00:02.000Z")
    facts = {hop["stage"]: hop["facts"] for hop in hops}
    assert facts["kafka"]["record"] == "payments.transaction:3:41"
    assert (facts["gold"]["version"], facts["decision"]["outcome"]) == (0, "approve")


def test_a_row_without_its_record_still_has_an_end(client: TestClient) -> None:
    """Gold's part of the road is there also where silver has no such row any more."""
    for path in ("fct_transactions?tenant=bank-b&value=bank-b-e1", "fct_refunds?tenant=casa-verde&value=r-1"):
        assert [hop["stage"] for hop in client.get(f"/look/road/{path}").json()["hops"]] == ["gold"]


def test_one_tenants_operator_sees_that_tenant_only(of_bank_b: TestClient) -> None:
    """Rows and roads follow the session's principal."""
    rows = of_bank_b.get("/look/rows/fct_transactions?columns=tenant_id&limit=500").json()["rows"]
    assert {row["tenant_id"] for row in rows} == {"bank-b"}
    assert of_bank_b.get("/look/road/fct_transactions?tenant=bank-a&value=bank-a-e1").status_code == 404


def test_dead_letters_are_listed_and_explained(client: TestClient) -> None:
    """A group has its letters, and one letter its rule and the runbook's place."""
    found = client.get("/look/letters?code=CDL-RULE-NEG_TOTAL&contract=commerce.order").json()["letters"]
    assert [(one["offset"], one["resolution"]) for one in found] == [(7, None), (8, None)]
    assert client.get("/look/letters?code=CDL-NULL").json() == {"letters": []}
    one = client.get("/look/letters/commerce.order:0:7").json()
    assert one["rule"] == "total >= 0"
    assert one["runbook"].endswith("#cdl-rule-neg_total")


def test_a_process_without_quarantine_says_so(tmp_path: Path) -> None:
    """Where nobody handed in a reader of dead letters the answer is a coded one."""
    settings = Settings(data_dir=tmp_path)
    mounted = dashboard.build(settings, Metrics("web"))
    app = FastAPI()
    app.include_router(mounted.router)
    store = tokens.open_store(tmp_path)
    client = TestClient(app)
    client.cookies.set("caudal_session", store.issue("operator"))
    assert client.get("/look/letters").json()["code"] == "CDL-NOT-FOUND"
    store.close()
    mounted.close()
