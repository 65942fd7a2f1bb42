from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from caudal import tokens
from caudal.lake import Lake
from caudal.settings import Settings
from serving.api import scope, verify
from serving.api.gold import Mart, Reader
from tests.support import gold_lake as gold


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": tmp_path,
            "web": {"port": 9},
            "kafka": {"bootstrap": "127.0.0.1:9"},
            "registry": {"url": "http://127.0.0.1:9"},
            "redis": {"url": "redis://127.0.0.1:9/0"},
            "serving": {"api": {"probe_s": 0.2, "burst": 1000, "rate_per_s": 1000}},
        }
    )


@pytest.fixture
def published(settings: Settings) -> Settings:
    lake = Lake.open(settings)
    gold.publish_live(lake)
    gold.publish_full(lake)
    return settings


def test_tenants_are_apart(published: Settings) -> None:
    """The proof holds on a sound install, examines every mart with several tenants, and leaves no token."""
    [check] = verify.checks(published)
    assert (check.invariant, check.ok, check.findings) == (6, True, ())
    assert check.examined > 80
    assert "6 marts" in check.detail
    store = tokens.open_store(published.data_dir)
    left = store._db.execute("SELECT count(*) FROM token").fetchone()
    store.close()
    assert left == (0,)


def test_nothing_published_is_proved_too(settings: Settings) -> None:
    """Before the first publish every route is still tried."""
    [check] = verify.checks(settings)
    assert (check.ok, check.examined > 20) == (True, True)


def test_gold_that_moves_meanwhile_is_asked_again(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cycle publishes between the choice of what to ask for and the answers: no row keeps its id, all is well."""
    lake, honest = Lake.open(published), verify._issued

    @contextmanager
    def moved(settings: Settings) -> Iterator[verify.Issue]:
        renamed = [{**row, "order_id": f"new-{row['order_id']}"} for row in gold.rows()["fct_orders"]]
        gold.publish_live(lake, changed={"fct_orders": renamed})
        with honest(settings) as issue:
            yield issue

    monkeypatch.setattr(verify, "_issued", moved)
    [check] = verify.checks(published)
    assert (check.ok, check.findings) == (True, ())


def test_a_missing_predicate_is_found(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the tenant's predicate the proof fails and names marts, but no tenant and no value."""
    monkeypatch.setattr(scope, "_predicate", lambda table, tenant: "")
    [check] = verify.checks(published)
    assert not check.ok
    assert any(f.startswith("fct_orders: a page holds rows") for f in check.findings)
    assert not any(name in f for f in check.findings for name in (*gold.SHOPS, *gold.BANKS))


def test_a_count_of_all_tenants_is_found(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing that counts everybody's rows is a leak, though no row shows."""

    def everybody(self: Reader, mart: Mart, tenant: str | None) -> int:
        return mart.rows

    monkeypatch.setattr(Reader, "count", everybody)
    [check] = verify.checks(published)
    assert not check.ok
    assert all("listing counts" in f for f in check.findings)


def test_a_telling_refusal_is_found(published: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 404 that differs for what exists elsewhere is a leak, though it shows nothing."""
    from serving.api import pages
    from serving.api.errors import NotThere

    honest = pages.select

    def telling(table: object, tenant: str | None, sql: str, *bounds: int) -> object:
        found = honest(table, tenant, sql, *bounds)  # type: ignore[arg-type]
        if found.num_rows == 0 and honest(table, None, sql).num_rows > 0:  # type: ignore[arg-type]
            raise NotThere("this object is somebody else's")
        return found

    monkeypatch.setattr(pages, "select", telling)
    [check] = verify.checks(published)
    assert not check.ok
    assert any("object shows" in f for f in check.findings)
