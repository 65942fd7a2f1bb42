"""Upserts by keys that are known in memory: no look at silver for plain changes, and the same outcome as with one."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from caudal.settings import Settings
from streaming import keys
from streaming.silver import SilverTable
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import NOON, record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
KNOWN = released()
ORDER = "commerce.order"
EAGER = {"care_look_s": 1e-9, "care_share": 1.0, "care_files": 2}


def order(bench: Bench, key: int, at: int, event: str = "") -> Message:
    fields: dict[str, Any] = {
        "event_id": event or f"{key}-{at}",
        "shop_id": "s",
        "order_id": f"o{key}",
        "updated_at": NOON + at,
    }
    return bench.message(ORDER, record(KNOWN[ORDER].contract, **fields, order_name=event, currency="BRL"))


def test_plain_changes_are_judged_without_a_look(
    spark: SparkSession, offline_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New keys, newer records, older ones and copies; the rows of many keys are replaced where they are."""
    bench = Bench(spark, offline_settings, [KNOWN[ORDER]])
    bench.batch([order(bench, key, 0) for key in range(20)])
    monkeypatch.setattr(SilverTable, "placed", lambda *_: pytest.fail("silver was looked at"))
    bench.batch([order(bench, key, 5) for key in range(10)] + [order(bench, 30, 0)])
    # An event id that parts lines for Python and not for JSON; it reaches the statistics of a commit.
    bench.batch(
        [
            order(bench, 6, 9, "\u2028x"),
            order(bench, 3, 5),
            order(bench, 4, 1),
            order(bench, 5, 9),
            order(bench, 30, 1),
            order(bench, 30, 1),
        ]
    )
    assert bench.batches.workers[ORDER].halted is None
    assert bench.ledger(ORDER) == {"read": 37, "applied": 34, "duplicate": 2, "superseded": 1}
    rows = bench.silver(ORDER, "order_id, updated_at")
    newest = {f"o{key}": 5 if key < 10 else 0 for key in range(20)} | {"o5": 9, "o6": 9, "o30": 1}
    assert {row["order_id"]: round(row["updated_at"].timestamp() * 1000) - NOON for row in rows} == newest
    assert bench.findings() == []


def test_a_look_and_the_keys_in_memory_tell_the_same(
    spark: SparkSession,
    offline_settings: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ties, copies, disorder and event ids used twice, in batches with table care and a restart between them; what is
    known is read in pieces then."""
    monkeypatch.setattr(keys, "PIECE", 5)
    chance = random.Random(5)
    drawn = [
        [(chance.randrange(40), chance.randrange(6), chance.choice(["", "u", "v"])) for _ in range(60)]
        for _ in range(4)
    ]
    outcomes = []
    for known in (1, 10_000):
        fresh = offline_settings.with_(data_dir=tmp_path_factory.mktemp("lake"))
        bench = Bench(spark, fresh, [KNOWN[ORDER]], known_keys=known, **EAGER)
        for number, batch in enumerate(drawn):
            bench.batch([order(bench, *one) for one in batch])
            assert bench.batches.workers[ORDER].halted is None
            if number == 1:
                bench.batches.tend()
            if number == 2:
                bench.restart()
        outcomes.append((content(bench), bench.ledger(ORDER)))
        assert bench.findings() == []
    assert outcomes[0] == outcomes[1]


def content(bench: Bench) -> list[dict[str, Any]]:
    return bench.silver(ORDER, "order_id, updated_at, event_id, order_name, _offset, _deleted_at", "order_id")
