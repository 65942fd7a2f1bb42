"""Append and upsert against a plain-Python reference, under duplicates, late records, deletes and restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from caudal.settings import Settings
from streaming import asked
from tests.support import stream_reference as reference
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.stream_reference import Event
from tests.support.wire_records import NOON, delete_headers, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
REFUND, ORDER = "commerce.refund", "commerce.order"
DAY = 86_400_000
LATENESS = released()[REFUND].contract.lateness.days * DAY
KNOWN = released()
BATCHES = 3


def one_history(tenant: str) -> st.SearchStrategy[list[tuple[int, Event]]]:
    """A short life of few keys and event ids with many collisions: (batch, event)."""
    event = st.builds(
        Event,
        tenant=st.just(tenant),
        key=st.sampled_from("ab"),
        event_id=st.sampled_from("uvw"),
        time=st.sampled_from([NOON, NOON - 1000, NOON - LATENESS, NOON - LATENESS - 1, NOON - 3 * LATENESS // 2]),
        note=st.sampled_from(["", "other"]),
        delete=st.booleans(),
    )
    return st.lists(st.tuples(st.integers(0, BATCHES - 1), event), min_size=1, max_size=8)


Histories = tuple[list[tuple[int, Event]], ...]


def batches_of(histories: Histories) -> list[list[Event]]:
    return [[event for life in histories for batch, event in life if batch == n] for n in range(BATCHES)]


def full(histories: Histories) -> bool:
    """Whether each batch has much in it. Of one example Hypothesis makes the simplest there is, which tries nothing."""
    return all(len(batch) >= 30 for batch in batches_of(histories))


# Tenants never meet, so forty histories share the few batches that Spark can afford.
HISTORIES = st.tuples(*(one_history(f"t{n:02}") for n in range(40))).filter(full)


def refund(bench: Bench, event: Event) -> Message:
    fields = {"event_id": event.event_id, "shop_id": event.tenant, "refund_id": event.note, "created_at": event.time}
    return bench.message(REFUND, record(KNOWN[REFUND].contract, **fields, currency="BRL"))


def order(bench: Bench, event: Event) -> Message:
    if event.delete:
        key = f'["{event.tenant}","{event.key}"]'.encode()
        return Message(ORDER, key, None, delete_headers(event.event_id, [event.time]))
    fields = {"event_id": event.event_id, "shop_id": event.tenant, "order_id": event.key, "updated_at": event.time}
    return bench.message(ORDER, record(KNOWN[ORDER].contract, **fields, order_name=event.note, currency="BRL"))


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(HISTORIES)
@settings(
    max_examples=1,
    # Shrinking would run Spark for minutes.
    phases=[Phase.generate],
    deadline=None,
    database=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example],
    print_blob=True,
)
def test_silver_equals_the_reference(
    spark: SparkSession,
    offline_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    histories: Histories,
) -> None:
    """Random histories of 40 tenants: final rows, counts and dead letters equal the reference, after a restart too."""
    fresh = offline_settings.with_(data_dir=tmp_path_factory.mktemp("lake"))
    # Deletion vectors from the first MERGE on, as large tables have them: what they took out must not be seen.
    bench = Bench(spark, fresh, [KNOWN[REFUND], KNOWN[ORDER]])
    batches = batches_of(histories)
    for number, batch in enumerate(batches):
        # Side by side, each in a session of its own.
        bench.batch([m for e in batch for m in (refund(bench, e), order(bench, e))])
        assert [worker.halted for worker in bench.batches.workers.values()] == [None] * 2
        if number == 0:
            bench.restart()

    applied, counts = reference.append(batches, LATENESS)
    rows = bench.silver(REFUND, "shop_id, event_id, refund_id, created_at, _late")
    assert sorted((e.tenant, e.event_id, e.time, e.note) for e in applied) == sorted(
        (r["shop_id"], r["event_id"], round(r["created_at"].timestamp() * 1000), r["refund_id"]) for r in rows
    )
    assert all(r["_late"] == (NOON - r["created_at"].timestamp() * 1000 > LATENESS) for r in rows)
    assert bench.counted("caudal_late_total", contract=REFUND) == sum(r["_late"] for r in rows)
    assert bench.counted("caudal_lag", stage="silver", contract=REFUND) == 0
    ledger = bench.ledger(REFUND)
    assert counts == {
        state: n
        for state, n in {
            "applied": ledger.get("applied", 0),
            "duplicate": ledger.get("duplicate", 0),
            "conflict": ledger.get("dead_letter", 0),
        }.items()
        if n
    }

    wanted = reference.upsert(batches)
    final = bench.silver(ORDER, "shop_id, order_id, event_id, updated_at, order_name, _deleted_at")
    assert {
        place: (e.event_id, e.time, None if e.delete else e.note, e.delete) for place, e in wanted.rows.items()
    } == {
        (r["shop_id"], r["order_id"]): (
            r["event_id"], round(r["updated_at"].timestamp() * 1000), r["order_name"], r["_deleted_at"] is not None
        )
        for r in final
    }  # fmt: skip
    ledger = bench.ledger(ORDER)
    assert wanted.counts == {name: n for name, n in ledger.items() if name in ("applied", "duplicate", "superseded")}
    assert bench.findings() == []

    # Made anew from raw in one slice instead of three batches, the tables are the same.
    for contract in (REFUND, ORDER):
        before = content(bench, contract)
        made = asked.rebuild(bench.batches, "anew", {"contract": contract})
        assert made["changes"]["dead_letter"] == 0
        # Its answer was lost, so the command comes again.
        assert asked.rebuild(bench.batches, "anew", {"contract": contract})["version"] == made["version"]
        bench.batches.flush()
        assert content(bench, contract) == before
    assert bench.findings() == []


def content(bench: Bench, contract: str) -> list[dict[str, Any]]:
    """Silver without the version of the commit that wrote a row."""
    rows = [{name: row[name] for name in row if name != "_version"} for row in bench.silver(contract)]
    return sorted(rows, key=lambda row: (row["_partition"], row["_offset"]))
