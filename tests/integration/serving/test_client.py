"""The Python client against the API over real HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from caudal import tokens
from caudal.client import BadRequest, Client, NotFound, Unauthorized, Unavailable
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from serving.api import app as api
from tests.support import gold_lake as gold
from tests.support.web import serving

HOME, AWAY = gold.SHOPS
LIMITS = {"rate_per_s": 1000, "burst": 10_000, "stream_poll_s": 0.05, "max_limit": 50, "smallest_cell": 2}


@dataclass
class Place:
    url: str
    lake: Lake
    store: tokens.TokenStore

    def client(self, tenant: str | None = HOME) -> Client:
        token = self.store.issue("reader", tenant) if tenant else self.store.issue("operator")
        return Client(self.url, token, retries=1)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    settings = Settings.model_validate({"data_dir": tmp_path, "serving": {"api": LIMITS}})
    store = tokens.open_store(tmp_path)
    with serving(api.build(settings, Metrics("web"))) as url:
        lake = Lake.open(settings)
        gold.publish_live(lake)
        yield Place(url, lake, store)
    store.close()


def test_rows_come_page_by_page(place: Place) -> None:
    """An iterator walks all pages of one version, filtered and in order; only the token's tenant is there."""
    with place.client() as client:
        found = list(client.rows("fct_orders", where={"total.gte": 5}, order=["-total"], columns=["total"], limit=4))
        assert [row["total"] for row in found] == [f"{n}.10" for n in range(19, 4, -1)]
        chosen = client.rows("fct_orders", where={"order_id": [f"{HOME}-1", f"{AWAY}-1", f"{HOME}-2"]})
        assert {row["order_id"] for row in chosen} == {f"{HOME}-1", f"{HOME}-2"}
        orders = next(m for m in client.marts() if m["mart"] == "fct_orders")
        assert (orders["rows"], orders["columns"]["total"]) == (20, "decimal")
        assert client.usage()[0]["rows"] == 17


def test_a_table_keeps_its_types(place: Place) -> None:
    """Arrow gives decimals, dates and times as they are, over several pages."""
    with place.client() as client:
        table = client.table("fct_orders", order=["total"], limit=7)
    assert (table.num_rows, table.schema.field("total").type) == (20, gold.MONEY)
    assert table.column("total")[3].as_py() == Decimal("3.10")
    assert table.column("ordered_date")[0].as_py() == gold.AT.date()


def test_aggregates_and_time_ranges(place: Place) -> None:
    """Groups, measures and a half-open time range; operators see cells of several tenants only."""
    noon = gold.AT.isoformat()
    with place.client() as client:
        [cell] = client.rows(
            "fct_orders", group=["updated_at.hour"], measures=["count", "sum.total"], start=noon,
            end=(gold.AT + dt.timedelta(minutes=3)).isoformat(),
        )  # fmt: skip
        assert cell == {"updated_at_hour": "2026-05-04T12:00:00.000Z", "count": 3, "sum_total": "3.30"}
    with place.client(None) as operator:
        assert list(operator.rows("fct_orders", measures=["count"])) == [{"count": 30}]
        only_one = operator.rows("fct_orders", where={"order_id": f"{HOME}-1"}, measures=["sum.total"])
        assert list(only_one) == []
        with pytest.raises(BadRequest, match="cannot name tenants"):
            list(operator.rows("fct_orders", group=["tenant_id"]))


def test_a_stream_tells_what_changed(place: Place) -> None:
    """Each publication is an event with the tenant's rows that came and went; an id resumes after it."""
    changed = gold.rows()["fct_orders"]
    changed[3] = {**changed[3], "currency": "EUR"}
    with place.client() as client:
        events = client.stream("fct_orders")
        start = next(events)
        assert (start.kind, start.data["version"]) == ("start", 0)
        gold.publish_live(place.lake, changed={"fct_orders": changed})
        event = next(events)
        assert (event.kind, event.data["version"]) == ("change", 1)
        assert [row["currency"] for row in event.data["added"]] == ["EUR"]
        assert [row["currency"] for row in event.data["removed"]] == ["BRL"]
        gold.publish_live(place.lake, changed={"fct_orders": changed[:19]})
        # from the first version, over what was published between: one step
        resumed = next(client.stream("fct_orders", last_id=start.id))
        assert resumed.data["version"] == 2
        assert len(resumed.data["added"]) == 1
        assert {row["order_id"] for row in resumed.data["removed"]} == {f"{HOME}-3", f"{HOME}-19"}
    with place.client(AWAY) as other:
        assert next(other.stream("fct_orders", last_id=start.id)).data["added"] == []


def test_no_stream_reaches_what_no_gate_passed(place: Place) -> None:
    """A version that was written but never published cannot be resumed from, nor can a made-up id."""
    gold.write(place.lake, "gold", "fct_orders", gold.SCHEMAS["fct_orders"], [])
    gold.publish_live(place.lake)
    with place.client() as client:
        start = next(client.stream("fct_orders"))
        assert start.data["version"] == 2
        secret = start.id.rpartition(".")[0] + ".1"
        for last in (secret, "fct_orders.x.0", "W/", f"{start.id}9"):
            event = next(client.stream("fct_orders", last_id=last))
            assert (event.kind, "added" in event.data) == ("reset", False)
        gold.publish_live(place.lake, scale=40)
        assert next(client.stream("fct_orders", last_id=start.id)).kind == "reset"


def test_errors_have_types(place: Place) -> None:
    """Each kind of refusal is an error of its own, with code, status and what to do."""
    with place.client() as client:
        with pytest.raises(BadRequest) as refused:
            client.page("fct_orders", where={"totl": 1})
        assert (refused.value.code, refused.value.status, refused.value.fix) == (
            "CDL-BAD-QUERY", 400, "did you mean total?",
        )  # fmt: skip
        with pytest.raises(BadRequest) as large:
            client.page("fct_orders", limit=10_000)
        assert (large.value.code, large.value.status) == ("CDL-TOO-LARGE", 413)
        with pytest.raises(Unavailable) as later:
            client.page("dim_customers")
        assert (later.value.code, later.value.retry_after) == ("CDL-NOT-PUBLISHED", 5.0)
        with pytest.raises(NotFound):
            client._json("GET", "/v1/gold/fct_orders/order_id/never")
    with Client(place.url, "cdl_wrong") as nobody, pytest.raises(Unauthorized):
        nobody.marts()
    with Client("http://127.0.0.1:9", "x", retries=0) as away, pytest.raises(Unavailable, match="does not answer"):
        away.marts()


def test_a_tenant_has_so_many_streams(place: Place) -> None:
    """Beyond its number a tenant is told to wait; a closed stream makes room again."""
    with place.client() as client:
        client._retries = 0
        streams = [client.stream("fct_orders") for _ in range(10)]
        assert [next(s).kind for s in streams] == ["start"] * 10
        with pytest.raises(Unavailable, match="too many streams"):
            next(client.stream("fct_orders"))
        for stream in islice(streams, 10):
            stream.close()
