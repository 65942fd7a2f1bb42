from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from caudal import tokens
from caudal.metrics import Metrics
from caudal.settings import Settings
from serving.dashboard import app as dashboard


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    mounted = dashboard.build(settings, Metrics("web"))
    app = FastAPI()
    app.include_router(mounted.router)
    yield TestClient(app, follow_redirects=False)
    mounted.close()


@pytest.fixture
def store(settings: Settings) -> Iterator[tokens.TokenStore]:
    opened = tokens.open_store(settings.data_dir)
    yield opened
    opened.close()


def test_a_one_time_address_becomes_a_session(client: TestClient, store: tokens.TokenStore) -> None:
    """The token works once, leaves the address, and the cookie is closed to scripts and other sites."""
    token = store.issue("operator", once=True)
    answer = client.get(f"/?token={token}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
    assert token not in cookie
    assert client.get("/").status_code == 200
    client.cookies.clear()
    assert client.get(f"/?token={token}").status_code == 401
    assert client.get("/").status_code == 401


def test_an_operator_token_signs_in_by_form(client: TestClient, store: tokens.TokenStore) -> None:
    """A lasting operator token can be pasted, and signing out ends the session in the store too."""
    answer = client.post("/login", data={"token": store.issue("operator")})
    assert answer.status_code == 303
    session = client.cookies["caudal_session"]
    assert store.resolve(session) is not None
    client.post("/logout")
    assert store.resolve(session) is None


@pytest.mark.parametrize("role", ["reader", "ingest", "scorer"])
def test_the_page_is_for_operators(client: TestClient, store: tokens.TokenStore, role: tokens.Role) -> None:
    """A tenant's token opens neither the page nor its stream, also as a cookie."""
    token = store.issue(role, "acme")
    assert client.get(f"/?token={token}").status_code == 401
    client.cookies.set("caudal_session", token)
    assert client.get("/").status_code == 401
    assert client.get("/live").status_code == 401


def test_nothing_is_served_without_a_session(client: TestClient) -> None:
    """Without a session there is the sign-in page, no stream and no page by its file name."""
    assert client.get("/").status_code == 401
    assert client.get("/live").status_code == 401
    assert client.get("/assets/index.html").status_code == 404
    assert client.get("/assets/..%2fapp.py").status_code == 404
    assert client.post("/login", content=b"token=" + b"x" * 10_000).status_code == 401


def test_the_catalogue_is_for_operators(client: TestClient, store: tokens.TokenStore, settings: Settings) -> None:
    """Its files and no others, without a script; before there are any, a page says so."""
    assert client.get("/catalogue/index.html").status_code == 401
    client.get(f"/?token={store.issue('operator', once=True)}")
    missing = client.get("/catalogue/index.html")
    assert (missing.status_code, "has not been made yet" in missing.text) == (404, True)
    folder = settings.data_dir / "reports" / "catalogue"
    folder.mkdir(parents=True)
    (folder / "index.html").write_text("<p>tables</p>")
    (folder.parent / "service-2026.html").write_text("not of the catalogue")
    page = client.get("/catalogue", follow_redirects=True)
    assert (page.status_code, page.text, page.headers["content-type"]) == (
        200,
        "<p>tables</p>",
        "text/html; charset=utf-8",
    )
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("..%2fservice-2026.html", "%2e%2e/service-2026.html", ".index.html", "gold.none.html", "x.py"):
        assert client.get(f"/catalogue/{name}").status_code == 404


def test_headers_close_the_page(client: TestClient) -> None:
    """Every answer of the page carries the strict policy; assets are checked by their tag."""
    page, script = client.get("/"), client.get("/assets/app.js")
    for answer in (page, script):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
    assert page.headers["cache-control"] == "no-store"
    again = client.get("/assets/app.js", headers={"If-None-Match": script.headers["etag"]})
    assert again.status_code == 304
