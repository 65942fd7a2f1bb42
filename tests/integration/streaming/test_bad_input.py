"""Every kind of bad record gets its own code, the good ones beside it land, and what nobody knows yet waits."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from caudal.settings import Settings
from schemas.wire import compact
from streaming.writers import Registered
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import NOON, record, sealed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
PAY, ORDER = "payments.transaction", "commerce.order"
PLAIN_ID, STRANGE_ID, LATER_ID = 9001, 9002, 9003


def framed_as(schema_id: int, value: bytes | None) -> bytes:
    assert value is not None
    return b"\0" + schema_id.to_bytes(4, "big") + value[5:]


def test_bad_records_are_told_apart_and_the_rest_flows(spark: SparkSession, offline_settings: Settings) -> None:
    """One batch with every kind of bad input: each its code, good records applied, unknown ids parked, then decided."""
    known = released()
    bench = Bench(spark, offline_settings, [known[PAY], known[ORDER]], max_message_bytes=5000)
    contract = known[PAY].contract
    # A producer that does not seal: the contract's own schema instead of the wire form.
    bench.registry.schemas[PLAIN_ID] = Registered(json.dumps(contract.latest.avsc), (("elsewhere", 1),))
    bench.registry.schemas[STRANGE_ID] = Registered(compact(known[ORDER].contract.latest.wire), (("elsewhere", 1),))

    def pay(n: int, **fields: Any) -> Message:
        return bench.message(PAY, record(contract, event_id=f"e{n}", tenant_id="t", **fields))

    good = pay(0, customer_cpf=sealed("cpf"), subject_ref="r1")
    value = good.value
    assert value is not None
    bare = {"event_id": "d", "shop_id": "s", "order_id": "o"}
    bad = {
        "CDL-GARBAGE": [value[:-3], b"\0" + (known[PAY].ids[1]).to_bytes(4, "big") + b"\xff" * 40, b"\0\0"],
        "CDL-TRAILING": [value + b"x", value + b"12345678"],
        "CDL-MAGIC": [b"\x01" + value[1:], b"", b"{}"],
        "CDL-NULL": [None],
        "CDL-TOO-LARGE": [value + b"\0" * 6000],
        "CDL-PLAINTEXT": [
            pay(1, customer_cpf={"mask": "529.982.247-25", "token": b"t"}).value,
            framed_as(PLAIN_ID, value),
        ],
        "CDL-INCOMPATIBLE": [framed_as(STRANGE_ID, value)],
        "CDL-FUTURE": [pay(2, occurred_at=NOON + 301_000).value],
        "CDL-RULE-AMOUNT": [pay(3, amount=Decimal("-1.00")).value],
    }
    messages = [good, *(Message(PAY, b"k", v, partition=1) for values in bad.values() for v in values)]
    messages += [Message(PAY, b"k", framed_as(LATER_ID, pay(4).value))]
    # A null without headers means nothing in upsert either; the order beside it is applied.
    messages += [
        Message(ORDER, b'["s","o"]', None),
        bench.message(ORDER, record(known[ORDER].contract, **bare, currency="BRL")),
    ]
    bench.batch(messages)

    letters = Counter(code for code, _ in bench.dead_letters())
    assert Counter({code: len(values) for code, values in bad.items()}) + Counter(["CDL-NULL"]) == letters
    assert ("CDL-PLAINTEXT", "customer_cpf") in bench.dead_letters()
    assert bench.silver(PAY, "event_id, customer_cpf") == [{"event_id": "e0", "customer_cpf": "***.***.***-09"}]
    assert len(bench.silver(ORDER)) == 1
    n_bad = sum(len(values) for values in bad.values())
    assert {"read": n_bad + 2, "applied": 1, "dead_letter": n_bad, "parked": 1} == bench.ledger(PAY)
    assert bench.findings() == []

    # Still unknown after a restart: it goes on waiting. Then the registry knows it, and the record is decided from raw.
    bench.restart()
    assert bench.ledger(PAY)["parked"] == 1
    bench.registry.schemas[LATER_ID] = Registered(compact(contract.latest.wire), (("elsewhere", 2),))
    bench.batches.tend()
    bench.batches.flush()
    assert {"read": n_bad + 2, "applied": 2, "dead_letter": n_bad} == bench.ledger(PAY)
    assert sorted(row["event_id"] for row in bench.silver(PAY, "event_id")) == ["e0", "e4"]
    assert bench.findings() == []
