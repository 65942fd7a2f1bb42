"""Dead letters are healed: decided again from raw with fixes, once, whatever dies in between; what stays bad stays."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from caudal import fault
from caudal.lake import Lake
from caudal.settings import Settings
from producers.encode import compile_encoder
from schemas.wire import compact
from streaming import asked, letters
from streaming.errors import BadFix
from streaming.letters import Wanted
from streaming.writers import Registered
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import record, sealed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
PAY, ORDER = "payments.transaction", "commerce.order"
TEXT_ID = 9001
NEGATIVE = {"code": "CDL-RULE-AMOUNT", "path": "AMOUNT", "since": "2026-01-01T00:00:00+00:00"}


class Killed(BaseException):
    """The process died here."""


def groups(lake: Lake) -> dict[str, tuple[int, int]]:
    """Open and resolved letters by code."""
    return {g["code"]: (g["open"], g["resolved"]) for g in letters.groups(lake, Wanted())}


def order_message(bench: Bench, n: int, **fields: Any) -> Message:
    contract = bench.released[ORDER].contract
    value = {"event_id": f"o{n}", "shop_id": "s", "order_id": f"n{n}", "currency": "BRL", **fields}
    return bench.message(ORDER, record(contract, **value))


def test_letters_are_healed_once(
    spark: SparkSession, offline_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Append: fixed values are applied, copies of what is there are duplicates, the rest stays refused; a trial run
    writes nothing, a death after silver's commit is made good, and a second order finds nothing to do."""
    known = released()
    bench = Bench(spark, offline_settings, [known[PAY]])
    contract = known[PAY].contract

    def pay(n: int, **fields: Any) -> Message:
        return bench.message(PAY, record(contract, event_id=f"e{n}", tenant_id="t", **fields))

    good = pay(0, subject_ref="r1", customer_cpf=sealed("cpf"))
    negative = [pay(n, amount=Decimal("-1.00"), customer_cpf=sealed("cpf")) for n in (1, 2, 3)]
    assert good.value is not None
    bench.batch([good, negative[0], Message(PAY, b"k", good.value[:-3])])
    bench.batch([negative[1], negative[2], negative[2]])
    assert groups(bench.lake) == {"CDL-RULE-AMOUNT": (4, 0), "CDL-GARBAGE": (1, 0)}
    before = bench.ledger(PAY)
    order = {"contract": PAY, "by": "ops", "fixes": [{"set": "amount", "value": "7.50"}]}

    trial = asked.replay(bench.batches, "trial", {**order, "dry_run": True})
    assert (trial["letters"], trial["applied"], trial["duplicate"], trial["refused"]) == (5, 3, 1, 1)
    assert {(k["code"], k["becomes"], k["records"]) for k in trial["kinds"]} == {
        ("CDL-RULE-AMOUNT", "applied", 3), ("CDL-RULE-AMOUNT", "duplicate", 1), ("CDL-GARBAGE", "CDL-GARBAGE", 1),
    }  # fmt: skip
    assert (bench.ledger(PAY), len(bench.silver(PAY))) == (before, 1)

    # Without a fix the rule still holds.
    assert asked.replay(bench.batches, "plain", {**order, "fixes": []})["refused"] == 5

    def die(point: str) -> None:
        if point == "mid-replay":
            raise Killed

    monkeypatch.setattr("streaming.replay.crashpoint", die)
    with pytest.raises(Killed):
        asked.replay(bench.batches, "first", {**order, "where": NEGATIVE})
    monkeypatch.setattr("streaming.replay.crashpoint", fault.crashpoint)
    assert groups(bench.lake)["CDL-RULE-AMOUNT"] == (4, 0)
    bench.restart()
    bench.batches.flush()
    assert groups(bench.lake) == {"CDL-RULE-AMOUNT": (0, 4), "CDL-GARBAGE": (1, 0)}
    # The command log brings the command again, since nobody answered it.
    assert asked.replay(bench.batches, "first", {**order, "where": NEGATIVE})["letters"] == 0
    rows = bench.silver(PAY, "event_id, amount, customer_cpf", "event_id")
    assert [(r["event_id"], r["amount"]) for r in rows[1:]] == [(f"e{n}", Decimal("7.50")) for n in (1, 2, 3)]
    assert {r["customer_cpf"] for r in rows} == {"***.***.***-09"}
    assert bench.ledger(PAY) == {"read": 6, "applied": 4, "duplicate": 1, "dead_letter": 1}
    assert bench.findings() == []

    # Made anew from raw, the table is the same, healed records and what met them included.
    bench.batch([negative[1]])

    def content() -> list[dict[str, Any]]:
        rows = bench.silver(PAY, order="event_id")
        return [{name: row[name] for name in row if name != "_version"} for row in rows]

    healed, counts = content(), bench.ledger(PAY)

    changes = asked.rebuild(bench.batches, "anew", {"contract": PAY})["changes"]
    bench.batches.flush()
    assert set(changes.values()) == {0}
    assert (content(), bench.ledger(PAY), bench.findings()) == (healed, counts, [])
    before = {**before, "read": 7, "dead_letter": 6}

    # A restore takes the healing back: the letters are open, and can be healed again.
    spark.sql(f"RESTORE delta.`{bench.lake.spark_table('silver', contract.table)}` TO VERSION AS OF 1")
    bench.restart()
    bench.batches.flush()
    assert groups(bench.lake)["CDL-RULE-AMOUNT"] == (5, 0)
    assert (bench.ledger(PAY), bench.findings()) == (before, [])
    assert asked.replay(bench.batches, "again", {**order, "where": {"at": f"{PAY}:0:1"}})["applied"] == 1
    bench.batches.flush()
    assert (groups(bench.lake)["CDL-RULE-AMOUNT"], bench.findings()) == ((4, 1), [])


def test_a_foreign_writer_is_read_with_its_own_schema(spark: SparkSession, offline_settings: Settings) -> None:
    """Upsert: a writer that renamed a field and made another a text is healed by rename and cast; a newer row stays."""
    known = released()
    bench = Bench(spark, offline_settings, [known[ORDER]])
    contract = known[ORDER].contract
    theirs = json.loads(compact(contract.latest.wire))
    for item in theirs["fields"]:
        if item["name"] == "total":
            item.update(name="grand_total", type="string")
            item.pop("default", None)
    bench.registry.schemas[TEXT_ID] = Registered(json.dumps(theirs), (("elsewhere", 1),))

    def foreign(n: int, total: str) -> Message:
        mine = order_message(bench, n)
        value = record(contract, event_id=f"f{n}", shop_id="s", order_id=f"n{n}", currency="BRL")
        del value["total"]
        return Message(ORDER, mine.key, compile_encoder(theirs, TEXT_ID)({**value, "grand_total": total}))

    bench.batch([order_message(bench, 1), foreign(2, "12.34"), foreign(3, "no number")])
    assert groups(bench.lake) == {"CDL-INCOMPATIBLE": (2, 0)}
    fixes = [{"rename": "grand_total", "to": "total"}, {"cast": "total"}, {"default": "total", "value": "1.00"}]
    done = asked.replay(bench.batches, "heal", {"contract": ORDER, "by": "ops", "fixes": fixes})
    assert (done["applied"], done["refused"]) == (2, 0), done
    rows = bench.silver(ORDER, "order_id, total", "order_id")
    assert [(r["order_id"], r["total"]) for r in rows[1:]] == [("n2", Decimal("12.34")), ("n3", Decimal("1.00"))]
    bench.batches.flush()
    assert bench.findings() == []
    for bad in ({"set": "customer_email", "value": "x"}, {"set": "order_id", "value": "x"}, {"drop": "nowhere"}):
        with pytest.raises(BadFix):
            asked.replay(bench.batches, "bad", {"contract": ORDER, "fixes": [bad]})
