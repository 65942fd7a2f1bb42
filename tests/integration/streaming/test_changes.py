"""Change records (mode cdc) against a plain-Python reference: deletes, truncates, partial updates, history, copies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from caudal.settings import Settings
from schemas.distribution import Released
from streaming import asked
from tests.support import contracts
from tests.support import stream_reference as reference
from tests.support.change_contracts import FIELDS, PARTIAL, TRACKED, WHOLE, YAML, change_contracts
from tests.support.stream_bench import Bench, Message
from tests.support.stream_reference import Change, Row
from tests.support.wire_records import NOON, delete_headers, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
BATCHES = 3
# Whole rows as WHOLE has them, and versions as it has them: what it does is done by one of these.
BOTH = (PARTIAL, TRACKED)


@st.composite
def one_life(draw: st.DrawFn, tenant: str) -> list[tuple[int, Change]]:
    """Few keys, few places in the order, some records more than once, in any order and any batch."""
    value = st.sampled_from([None, "1", "2"])
    change = st.builds(
        lambda key, place, twin, op, a, b: Change(
            tenant, key, f"{key}{op}{place}{twin}", place, NOON - 1000 * ((place * 7) % 5), op, a, b
        ),
        st.sampled_from("pq"), st.integers(0, 4), st.sampled_from("xy"),
        st.sampled_from(["u", "u", "u", "d", "null", "t"]), value, value,
    )  # fmt: skip
    pool = draw(st.lists(change, min_size=1, max_size=7, unique_by=lambda c: c.event_id))
    return draw(st.lists(st.tuples(st.integers(0, BATCHES - 1), st.sampled_from(pool)), min_size=1, max_size=9))


Lives = tuple[list[tuple[int, Change]], ...]


def full(lives: Lives) -> bool:
    """Whether each batch has much in it. Of one example Hypothesis makes the simplest there is, which tries nothing."""
    return all(sum(batch == n for life in lives for batch, _ in life) >= 30 for n in range(BATCHES))


LIVES = st.tuples(*(one_life(f"t{n:02}") for n in range(40))).filter(full)


def message(bench: Bench, contract: str, change: Change) -> Message:
    if change.op == "null":
        key = f'["{change.tenant}","{change.key}"]'.encode()
        headers = delete_headers(change.event_id, [change.sequence], observed_at=change.time)
        return Message(contract, key, None, headers)
    mask = None if change.b is None else {"mask": f"{change.b}{change.b}***@x.com", "token": change.b.encode()}
    own = {"c": {"mask": "****67", "token": b"left out"}} if contract == TRACKED else {}
    fields: dict[str, Any] = {
        **own, "event_id": change.event_id, "tenant_id": change.tenant, "thing_id": change.key,
        "happened_at": change.time, "a": change.a, "b": mask, "_op": change.op, "_sequence": change.sequence,
    }  # fmt: skip
    return bench.message(contract, record(bench.released[contract].contract, **fields, observed_at=change.time))


@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@given(LIVES)
@settings(
    max_examples=1,
    # Shrinking would run Spark for minutes.
    phases=[Phase.generate],
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.large_base_example],
    print_blob=True,
)
def test_rows_and_history_equal_the_reference(
    spark: SparkSession,
    offline_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    lives: Lives,
) -> None:
    folder = tmp_path_factory.mktemp("changes")
    bench = Bench(spark, offline_settings.with_(data_dir=folder / "lake"), change_contracts(folder)[1:])
    for number in range(BATCHES):
        mine = [change for life in lives for batch, change in life if batch == number]
        bench.batch([message(bench, name, change) for change in mine for name in BOTH])
        assert {n: w.halted for n, w in bench.batches.workers.items()} == dict.fromkeys(BOTH)
        if number == 0:
            bench.restart()

    changes = [change for life in lives for _, change in life]
    before = {}
    for name in BOTH:
        assert rows_of(bench, name) == reference.cdc(changes, name == PARTIAL)
        assert versions_of(bench, name) == reference.versions(changes, name == TRACKED)
        ledger = bench.ledger(name)
        assert sum(ledger.get(state, 0) for state in ("applied", "duplicate", "superseded")) == len(changes)
        before[name] = (content(bench, name), content(bench, f"{name}_history"))
    assert bench.findings() == []

    # Beside the live table, raw gives the same rows; a row that somebody changed is found, and only its place told.
    [same] = asked.compare(bench.batches, "same", {"contract": PARTIAL})
    assert same["differ"] == 0
    worker = bench.batches.workers[TRACKED]
    [first, *_] = bench.silver(TRACKED, '"_partition", "_offset", tenant_id, thing_id', "2")
    key = f"tenant_id = '{first['tenant_id']}' AND thing_id = '{first['thing_id']}'"

    def change_it() -> None:
        worker.session.sql(f"UPDATE delta.`{worker.path}` SET a = 'secret' WHERE {key}").collect()

    worker.tended(change_it)
    [found] = asked.compare(bench.batches, "look", {"contract": TRACKED})
    assert (found["differ"], found["at"]) == (2, [f"{first['_partition']}@{first['_offset']}"])
    assert "secret" not in repr(found)

    # From raw in one slice, both tables come out the same.
    for name in BOTH:
        asked.rebuild(bench.batches, "anew", {"contract": name})
        bench.batches.flush()
        assert (content(bench, name), content(bench, f"{name}_history")) == before[name]
    assert bench.findings() == []


def rows_of(bench: Bench, contract: str) -> dict[tuple[str, str], Row]:
    rows = bench.silver(contract)
    # Tokens travel with the masks that they belong to.
    assert all(dict(r["_sealed"] or []).get("b", b"").decode() == (r["b"] or "")[:1] for r in rows)
    return {
        (r["tenant_id"], r["thing_id"]): Row(
            r["event_id"], r["_sequence"], r["_deleted_at"] is not None, r["a"], r["b"] and r["b"][0]
        )
        for r in rows
        if not r["thing_id"].startswith("__truncate__")
    }


def versions_of(bench: Bench, contract: str) -> dict[tuple[str, str, str], reference.Version]:
    rows = bench.rows("silver", f"{bench.released[contract].contract.table}_history")
    return {
        (r["tenant_id"], r["thing_id"], r["event_id"]): (ms(r["_valid_from"]), ms(r["_valid_to"]), r["_current"])
        for r in rows
        if not r["thing_id"].startswith("__truncate__")
    }


def ms(at: Any) -> Any:
    return None if at is None else round(at.timestamp() * 1000)


def content(bench: Bench, name: str) -> list[str]:
    """A table's rows without the version of the commit that wrote them, and without what partial updates note for the
    next ones, which is fuller where a batch had records of the key."""
    rows = bench.rows("silver", name.replace(".", "_"))
    told = [{**row, "_sealed": row["_sealed"] or []} if "_sealed" in row else row for row in rows]
    return sorted(repr([(c, row[c]) for c in sorted(row) if c not in ("_version", "_set_by")]) for row in told)


def test_a_truncate_is_kept_to_its_tenant_and_its_key_to_itself(
    spark: SparkSession, offline_settings: Settings, tmp_path: Path
) -> None:
    """A record under a key that truncates are kept under is refused; no rule judges a truncate."""
    bench = Bench(spark, offline_settings.with_(data_dir=tmp_path / "lake"), change_contracts(tmp_path)[:1])
    rows = [
        Change("t1", "p", "e1", 1, NOON, "u", "1"),
        Change("t2", "p", "e2", 1, NOON, "u", "1"),
        Change("t1", "__truncate__e9", "e3", 1, NOON, "u", "1"),
        Change("t1", "", "e4", 2, NOON, "t", "bad"),
    ]
    bench.batch([message(bench, WHOLE, change) for change in rows])
    # What comes late for a truncated key stays gone; what is newer comes back.
    late = [Change("t1", "q", "e5", 1, NOON, "u", "1"), Change("t1", "p", "e6", 3, NOON, "u", "2")]
    bench.batch([message(bench, WHOLE, change) for change in late])
    assert bench.dead_letters() == [("CDL-TRUNCATE", "_op")]
    assert {place: (row.deleted, row.a) for place, row in rows_of(bench, WHOLE).items()} == {
        ("t1", "p"): (False, "2"),
        ("t1", "q"): (True, None),
        ("t2", "p"): (False, "1"),
    }
    assert bench.findings() == []


def test_another_key_is_refused_until_the_table_is_made_anew(
    spark: SparkSession, offline_settings: Settings, tmp_path: Path
) -> None:
    """Drift halts the contract with the way out; nothing is lost, and a rebuild takes it."""
    [released, *_] = change_contracts(tmp_path / "before")
    bench = Bench(spark, offline_settings.with_(data_dir=tmp_path / "lake"), [released])
    bench.batch([message(bench, WHOLE, Change("t1", "p", "e1", 5, NOON, "u", "1"))])
    other = YAML.replace("sequence: [_sequence]", "sequence: [happened_at]")
    changed = Released(contracts.make(tmp_path / "after", FIELDS, id=WHOLE, yaml=other, name="Whole"), {1: 9001})
    bench.release(changed)
    worker = bench.batches.workers[WHOLE]
    assert worker.halted is not None
    assert worker.halted.code == "CDL-IDENTITY"
    assert "caudal rebuild silver" in str(worker.halted.facts()["fix"])
    bench.batch([message(bench, WHOLE, Change("t1", "p", "e2", 4, NOON + 1, "u", "2"))])
    assert worker.halted is not None
    [row] = bench.silver(WHOLE)
    assert row["event_id"] == "e1"

    asked.rebuild(bench.batches, "anew", {"contract": WHOLE})
    bench.batches.catch_up(WHOLE)
    bench.batches.flush()
    assert bench.counted("caudal_halted", contract=WHOLE) == 0
    [row] = bench.silver(WHOLE)
    assert row["event_id"] == "e2"
    assert bench.findings() == []
    bench.restart()
    assert [one.halted for one in bench.batches.workers.values()] == [None]
