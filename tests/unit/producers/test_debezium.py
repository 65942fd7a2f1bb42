"""Debezium's envelopes as its documentation and Paimon's tests have them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from producers.sealer.debezium import Change, NoChange, change
from producers.sealer.rows import Delete, event
from schemas.contract import Contract
from tests.support import contracts
from tests.support.change_contracts import FIELDS, YAML

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"


def documented() -> list[dict[str, Any]]:
    lines = (FIXTURES / "debezium-docs" / "events.dev.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def paimon() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((FIXTURES / "paimon-cdc").rglob("*.txt")):
        _, _, body = file.read_text(encoding="utf-8").partition("*/")
        yield from ((str(file), json.loads(line)) for line in body.splitlines() if line.strip())


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    return contracts.make(tmp_path, FIELDS, id="tests.whole", yaml=YAML, name="Whole")


def test_every_documented_event_is_understood() -> None:
    found: Counter[str] = Counter()
    for one in documented():
        said = change(one["event"])
        kind = said.op if isinstance(said, Change) else said.kind if isinstance(said, NoChange) else "none"
        assert kind == {"m": "message", None: kind}.get(one["op"], one["op"])
        found[kind] += 1
    assert (found["u"], found["c"], found["d"], found["t"], found["message"], found["r"]) == (6, 4, 3, 2, 1, 1)
    assert found["ddl"] == 1


def test_every_mysql_event_is_understood() -> None:
    """48 messages in the two forms, each with its row and its operation."""
    said = [change(one) for _, one in paimon()]
    changes = [one for one in said if isinstance(one, Change)]
    assert len(changes) == len(said) == 48
    assert Counter(one.op for one in changes) == {"c": 44, "d": 2, "u": 1, "r": 1}
    assert all(one.row for one in changes)


def test_the_place_in_the_log_orders_changes() -> None:
    """lsn; binlog file, position and row; scn; the time where there is nothing else."""

    def sequence(**source: Any) -> int | None:
        said = change({"op": "c", "after": {"id": 1}, "source": source, "ts_ms": 5})
        assert isinstance(said, Change)
        return said.sequence

    assert sequence(lsn=24023128) == sequence(lsn="24023128") == 24023128
    binlog = [
        sequence(file="mysql-bin.000003", pos=154, row=0),
        sequence(file="mysql-bin.000003", pos=154, row=1),
        sequence(file="mysql-bin.000003", pos=155, row=0),
        sequence(file="mysql-bin.000010", pos=4, row=0),
    ]
    assert binlog == sorted(set(binlog))  # type: ignore[type-var]
    assert sequence(scn="1234", ssn=1) < sequence(scn="1235", ssn=0)  # type: ignore[operator]
    assert sequence(ts_us=7) == 7
    assert sequence() == 5000


def test_types_come_back_from_connects_encoding() -> None:
    columns = [
        {
            "field": "price",
            "type": "bytes",
            "name": "org.apache.kafka.connect.data.Decimal",
            "parameters": {"scale": "2"},
        },
        {"field": "at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
    ]
    wrapped = {
        "schema": {"fields": [{"field": "after", "fields": columns}]},
        "payload": {"op": "c", "source": {}, "after": {"price": "AeJA", "at": 1_500_000}},
    }
    said = change(wrapped)
    assert isinstance(said, Change)
    assert said.row == {"price": Decimal("1234.56"), "at": datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)}


def test_a_change_becomes_an_event_of_the_contract(contract: Contract) -> None:
    """Known columns by name, numbers as the text that a key is; the same change always has the same event id."""
    source = {"lsn": 7, "ts_ms": 1000, "name": "bank", "db": "core", "table": "rows"}
    row = {"thing_id": 12, "a": "1", "unknown": 3}
    said = change({"op": "u", "before": None, "after": row, "source": source})
    assert isinstance(said, Change)
    made = event(contract, said, "t1")
    assert made == event(contract, said, "t1")
    assert isinstance(made, dict)
    assert {name: made[name] for name in made if name != "event_id"} == {
        "tenant_id": "t1", "thing_id": "12", "a": "1", "happened_at": 1000, "_op": "u", "_sequence": 7,
        "_source": "bank.core.rows",
    }  # fmt: skip
    gone = change({"op": "d", "before": {"thing_id": 12}, "after": None, "source": source})
    assert isinstance(gone, Change)
    deleted = event(contract, gone, "t1")
    assert isinstance(deleted, Delete)
    assert (deleted.key, deleted.sequence) == ({"tenant_id": "t1", "thing_id": "12"}, [7])
