"""`evolution.on_incompatible: pause`: what no version can read stops its contract, alone, until a version can."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from caudal.settings import Settings
from schemas.distribution import Released
from streaming.writers import Registered
from tests.support import contracts
from tests.support.avro_pairs import encoded
from tests.support.contracts import field
from tests.support.stream_bench import Bench, Message
from tests.support.wire_records import record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
WAITS, REFUSES, STRANGE = "tests.waits", "tests.refuses", 77
PAUSE = contracts.YAML + "evolution: {on_incompatible: pause}\n"
NUMBER, EITHER = field("size", "int"), {"name": "size", "type": ["null", "int", "string"], "default": None}


def test_only_the_contract_that_says_so_waits(spark: SparkSession, offline_settings: Settings, tmp_path: Path) -> None:
    """It halts with nothing lost or refused, over a restart too; others go on; a version that fits resumes it."""
    waits = contracts.make(tmp_path, (NUMBER,), id=WAITS, yaml=PAUSE, name="Waits")
    refuses = contracts.make(tmp_path, (NUMBER,), id=REFUSES, name="Refuses")
    bench = Bench(spark, offline_settings, [Released(waits, {1: 1}), Released(refuses, {1: 2})])

    def good(contract: str, n: int) -> Message:
        value = record(bench.released[contract].contract, 1, event_id=f"e{n}", tenant_id="t", size=n)
        return bench.message(contract, value, 1)

    def strange(contract: str, n: int) -> Message:
        one = bench.released[contract].contract
        wire = copy.deepcopy(one.latest.wire)
        wire["fields"] = [EITHER if item["name"] == "size" else item for item in wire["fields"]]
        schema_id = STRANGE + (contract == WAITS)
        bench.registry.schemas[schema_id] = Registered(json.dumps(wire), (("elsewhere", 1),))
        body = encoded(wire, record(one, event_id=f"e{n}", tenant_id="t", size="large"))
        return Message(contract, b"k", b"\0" + schema_id.to_bytes(4, "big") + body)

    bench.batch([good(WAITS, 1), good(REFUSES, 1)])
    bench.batch([m for name in (WAITS, REFUSES) for m in (good(name, 2), strange(name, 3))])
    bench.batch([good(WAITS, 4), good(REFUSES, 4)])
    assert codes(bench) == {WAITS: "CDL-PAUSED", REFUSES: None}
    assert bench.dead_letters() == [("CDL-INCOMPATIBLE", None)]
    assert (ids(bench, WAITS), ids(bench, REFUSES)) == (["e1"], ["e1", "e2", "e4"])
    assert bench.counted("caudal_halted", contract=WAITS) == 1
    bench.restart()
    bench.batches.tend()
    assert codes(bench) == {WAITS: "CDL-PAUSED", REFUSES: None}

    fits = contracts.make(tmp_path, (NUMBER,), (EITHER,), id=WAITS, yaml=PAUSE, name="Waits")
    bench.release(Released(fits, {1: 1, 2: 3}))
    while bench.batches.workers[WAITS].behind:
        bench.batches.tend()
        assert codes(bench) == {WAITS: None, REFUSES: None}
    bench.batches.flush()
    assert ids(bench, WAITS) == ["e1", "e2", "e3", "e4"]
    [row] = [row for row in bench.silver(WAITS) if row["event_id"] == "e3"]
    assert row["size__v2"] == {"member_int": None, "member_string": "large"}
    assert bench.ledger(WAITS) == {"read": 4, "applied": 4}
    assert bench.ledger(REFUSES) == {"read": 4, "applied": 3, "dead_letter": 1}
    assert bench.counted("caudal_halted", contract=WAITS) == 0
    assert bench.findings() == []


def codes(bench: Bench) -> dict[str, Any]:
    return {name: worker.halted and worker.halted.code for name, worker in bench.batches.workers.items()}


def ids(bench: Bench, contract: str) -> list[str]:
    return sorted(row["event_id"] for row in bench.silver(contract, "event_id"))
