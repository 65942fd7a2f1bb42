"""What a changed contract would do to real records, before it is applied."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from caudal.settings import Settings
from schemas.contract import Rule
from streaming.effect import effect
from streaming.settings import StreamingSettings
from tests.support.released import released
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
PAY = "payments.transaction"


def test_the_newest_records_are_judged_under_both_forms(spark: SparkSession, offline_settings: Settings) -> None:
    """A stricter rule refuses some, a loosened one heals some, what is garbage stays so; nothing is written."""
    bench = Bench(spark, offline_settings, [released()[PAY]])
    contract = bench.released[PAY].contract

    def pay(n: int, amount: str) -> Message:
        fields = {"event_id": f"e{n}", "tenant_id": "t", "amount": Decimal(amount)}
        return bench.message(PAY, record(contract, **fields))

    bench.batch([pay(n, "5.00") for n in range(4)])
    bench.batch([pay(10, "500.00"), pay(11, "600.00"), pay(12, "-1.00"), Message(PAY, b"k", b"no"), pay(13, "7.00")])
    loose = [rule for rule in contract.quality if rule.code != "AMOUNT"]
    assert len(loose) < len(contract.quality)
    after = replace(contract, quality=(*loose, Rule("LARGE", "amount < 100", "reject")))
    found = effect(spark, bench.lake, contract, after, StreamingSettings(), 9)
    assert (found["records"], found["refused_now"], found["refused_then"]) == (9, 2, 3)
    assert [(c["now"], c["then"], c["then_at"], c["records"]) for c in found["changes"]] == [
        (None, "CDL-RULE-LARGE", "LARGE", 2), ("CDL-RULE-AMOUNT", None, None, 1),
    ]  # fmt: skip
    # Only the newest, whole batches or not.
    assert effect(spark, bench.lake, contract, after, StreamingSettings(), 3)["records"] == 3
    assert bench.findings() == []
