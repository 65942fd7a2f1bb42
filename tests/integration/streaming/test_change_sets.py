"""Debezium's documented events and Paimon's MySQL files: `in.*` → sealer → Kafka → streaming → silver."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer

from caudal.settings import Settings
from schemas.apply import apply, first_error
from schemas.distribution import ContractFeed
from schemas.load import load_catalog
from streaming.query import Query
from streaming.settings import StreamingSettings
from tests.support import contracts
from tests.support.change_contracts import FIELDS as CHANGE_FIELDS
from tests.support.contracts import field, pii
from tests.support.release import REJECTED
from tests.support.sealing import sealing
from tests.support.stream_bench import Bench
from tests.support.topic import read

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.kafka, pytest.mark.timeout(900)]
FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
PAIMON = FIXTURES / "paimon-cdc" / "debezium"
DEADLINE_S = 240.0
OWN = tuple(item for item in CHANGE_FIELDS if item["name"] in ("_op", "_sequence", "_source"))
BASE = tuple(item for item in contracts.BASE if item["name"] != "thing_id")
YAML = contracts.YAML.replace("mode: append", "mode: cdc") + (
    "key: [tenant_id, KEY]\nsequence: [_sequence]\nhistory: true\ningress: plaintext\n"
)


def product(version: int) -> tuple[dict[str, Any], ...]:
    """MySQL's `product`: `age` and `address` come with version 2, and `age` may be text from version 3 on."""
    ages = {2: [field("age", "long")], 3: [{"name": "age", "type": ["null", "long", "string"], "default": None}]}
    row = {"type": "record", "name": "Row", "fields": [field("row_key", "string")]}
    text = [field(name, "string") for name in ("name", "description", "value")]
    later = [*ages[version], field("address", "string")] if version > 1 else []
    return ({"name": "id", "type": "string"}, *text, field("weight", "double"), field("row", row), *later, *OWN)


def logical(inner: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": inner, "logicalType": name, **more}


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return logical("bytes", "decimal", precision=precision, scale=scale)


POINT = {"type": "record", "name": "Point", "fields": [
    field("x", "double"), field("y", "double"), field("wkb", "string"), field("srid", "int"),
]}  # fmt: skip
# MySQL column: the contract's type, and what silver must hold.
TYPES: dict[str, tuple[Any, Any]] = {
    "pt": (decimal(2, 1), Decimal("1.1")),
    "_bit1": ("boolean", True),
    "_bit": ("bytes", base64.b64decode("xwcAAAAAAAA=")),
    "_tinyint_unsigned": ("int", 2),
    "_mediumint_unsigned_zerofill": ("int", 300_000),
    "_int_unsigned": ("long", 2_000_000),
    "_bigint_unsigned": (decimal(20, 0), Decimal(20_000_000_000)),
    "_float": ("float", 1.5),
    "_double_precision": ("double", 1.000111),
    "_numeric": (decimal(8, 3), Decimal("12345.110")),
    "_decimal_unsigned_zerofill": (decimal(8, 0), Decimal(33_333)),
    "_date": (logical("int", "date"), date(2023, 3, 23)),
    "_datetime": (logical("long", "timestamp-millis"), datetime(2023, 3, 23, 14, 30, 5, tzinfo=UTC)),
    "_datetime6": (logical("long", "timestamp-micros"), datetime(2023, 3, 23, 14, 30, 5, 123456, UTC)),
    "_timestamp": (logical("long", "timestamp-micros"), datetime(2023, 3, 23, 22, 0, 10, 123456, UTC)),
    "_varchar": ("string", "Apache Paimon"),
    "_longtext": ("string", "Apache Paimon MySQL Long Test Data"),
    "_varbin": ("bytes", b"more bytes"),
    "_longblob": ("bytes", b"LONGBLOB  bytes test data"),
    "_json": ("string", '{"a": "b"}'),
    "_enum": ({"type": "enum", "name": "Which", "symbols": ["value1", "value2", "value3"]}, "value1"),
    "_year": ("int", 2023),
    "_time": (logical("long", "time-micros"), 36_803_000_000),
    "_set": ("string", "a,b"),
    "_point": (POINT, None),
}
ALL_TYPES = ({"name": "_id", "type": "string"}, *(field(name, kind) for name, (kind, _) in TYPES.items()), *OWN)
PEOPLE = (
    {"name": "id", "type": "string"},
    pii("first_name", "name"), pii("last_name", "name"), pii("email", "email"), *OWN,
)  # fmt: skip


@dataclass(frozen=True)
class Foreign:
    """What a connector wrote: tenants are kept apart by a header."""

    contract: str
    tenant: str
    value: bytes


class Road:
    """Contracts of this test alone, the sealer, and the streaming query after it, on the session's broker: what is
    sealed by then is one batch."""

    def __init__(self, spark: SparkSession, settings: Settings, folder: Path) -> None:
        name = uuid.uuid4().hex[:8]
        self.product, self.types, self.people = (f"sets{name}.{what}" for what in ("product", "types", "people"))
        self._folder = folder / "contracts"
        self._folder.joinpath("caudal").mkdir(parents=True)
        self._folder.joinpath("caudal", "rejected").symlink_to(REJECTED)
        own = {"sealer_group": f"sealer-{name}", "contract_poll_s": 0.2}
        self.settings = settings.with_(contracts_dir=self._folder, producers=own)
        self._write(self.types, "_id", ALL_TYPES)
        self._write(self.people, "id", PEOPLE)
        self._sent = self._silent = 0
        self.release(1)
        feed = ContractFeed(self.settings)
        known = feed.read_to_end()
        feed.close()
        self.bench = Bench(spark, self.settings, [known[name] for name in (self.product, self.types, self.people)])
        self._query = Query(spark, self.settings, StreamingSettings(trigger_s=0.2), self.bench.batches)

    def release(self, version: int) -> None:
        """This version of the product, to the sealer and to the stage."""
        self._write(self.product, "id", *(product(n) for n in range(1, version + 1)))
        names = {self.product, self.types, self.people, "caudal.rejected"}
        assert first_error(apply(self.settings, load_catalog(self._folder), only=names)) is None
        if version > 1:
            feed = ContractFeed(self.settings)
            self.bench.release(feed.read_to_end()[self.product])
            feed.close()

    def play(self, messages: list[Foreign], refused: int, silent: int = 0) -> None:
        """Write these to `in.*`, and wait until they are in silver or `refused`, both of all so far; `silent` ones say
        nothing of rows."""
        self._silent += silent
        producer = Producer({"bootstrap.servers": self.settings.kafka.bootstrap})
        for one in messages:
            key = json.dumps({"table": one.tenant}).encode()
            headers = [("caudal-tenant", one.tenant.encode())]
            producer.produce(f"in.{one.contract}", key=key, value=one.value, headers=headers)
            self._sent += 1
        assert producer.flush(30) == 0
        with sealing(self.settings):
            until(lambda: self.sealed() + len(self.refusals()) + self._silent >= self._sent)
        assert len(self.refusals()) == refused
        assert self._query.start()
        try:
            until(lambda: self.read() + refused + self._silent >= self._sent)
        finally:
            self._query.stop()

    def sealed(self) -> int:
        """Records that the sealer has passed on."""
        return sum(len(read(self.settings.kafka.bootstrap, name)) for name in self.bench.released)

    def read(self) -> int:
        """Records that streaming has decided or told of as nothing."""
        with self.bench.batches.lock:
            self.bench.batches.flush()
        return sum(self.bench.ledger(name).get("read", 0) for name in (self.product, self.types, self.people))

    def refusals(self) -> list[tuple[str, str, str | None]]:
        """(contract, code, path) of what the sealer refused."""
        mine = [m for m in read(self.settings.kafka.bootstrap, "caudal.rejected") if b"sets" in (m.value() or b"")]
        return [found for m in mine if (found := self._refusal(m.value() or b""))]

    def _refusal(self, value: bytes) -> tuple[str, str, str | None] | None:
        from producers.encode import decode

        wire = load_catalog(self._folder)["caudal.rejected"].latest.wire
        record = decode(value, wire)[1]
        mine = record["contract"] in (self.product, self.types, self.people)
        return (record["contract"], record["code"], record["path"]) if mine else None

    def _write(self, name: str, key: str, *versions: tuple[dict[str, Any], ...]) -> None:
        last = name.rpartition(".")[2].title()
        contracts.write(self._folder, *versions, id=name, yaml=YAML.replace("KEY", key), name=last, base=BASE)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.5)


def paimon(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file, message) in order. The set's events have no place in a log; each gets the one that MySQL would give."""
    for file in sorted((PAIMON / folder).rglob("*.txt")):
        _, _, body = file.read_text(encoding="utf-8").partition("*/")
        for line in filter(str.strip, body.splitlines()):
            message = json.loads(line)
            (message.get("payload") or message)["source"].update(file="mysql-bin.000001", pos=next(_PLACES))
            yield file.name, message


_PLACES = iter(range(100, 10**6))


def of(contract: str, tenant: str, message: dict[str, Any]) -> Foreign:
    table = (message.get("payload") or message)["source"]["table"]
    return Foreign(contract, f"{tenant}:{table}", json.dumps(message).encode())


def test_every_change_file_lands_or_is_refused(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    """29 files of MySQL changes and all documented Debezium events, while the contract grows from no `age` over a
    number to text: rows, history, and what could not be sealed with its code."""
    road = Road(spark, settings, tmp_path)
    _play(road)
    _rows(road)


def _play(road: Road) -> None:
    evolving = {name: list(paimon(f"table/{name}")) for name in ("schemaevolution", "schema/schemaevolution")}
    of_file = {
        (name, number): [m for file, m in messages if file.startswith(f"debezium-data-{number}")]
        for name, messages in evolving.items()
        for number in ("1", "2", "3", "4", "5", "with-delete")
    }

    def mysql(*places: tuple[str, str]) -> list[Foreign]:
        return [of(road.product, f"table/{name}", m) for name, number in places for m in of_file[name, number]]

    short, long = "schemaevolution", "schema/schemaevolution"
    # Before the column is there.
    road.play(mysql((short, "1"), (long, "1")), refused=0)

    # An int, a long and an int again are one column; text is refused at the door, with its field.
    road.release(2)
    folders = ("database/include", "database/prefixsuffix", "database/schemaevolution", "table/startupmode",
               "table/watermark", "table/nestedtype", "table/nullvalue", "table/schema/include")  # fmt: skip
    whole = [of(road.product, folder, m) for folder in folders for _, m in paimon(folder)]
    # Rows of other shapes: their key is not there.
    strange = [
        of(road.product, folder, m)
        for folder in ("table/computedcolumn", "table/metadatacolumn")
        for _, m in paimon(folder)
    ]
    strange += [of(road.product, "table/schema/alltype", m) for _, m in paimon("table/schema/alltype")]
    types = [of(road.types, "all", m) for _, m in paimon("table/schema/alltype")]
    evolved = mysql((short, "2"), (short, "3"), (long, "2"), (long, "3"), (long, "4"), (long, "5"))
    computed = [of(road.product, "computed", m) for _, m in paimon("table/schema/computedcolumn")]
    road.play([*whole, *strange, *types, *evolved, *computed, *_documented(road)], 4 + len(_UNFIT), silent=2)
    told = Counter((code, path) for contract, code, path in road.refusals() if contract == road.product)
    assert told == {("CDL-NO-FIELD", "id"): 3, ("CDL-TYPE", "age"): 1}
    assert Counter(code for contract, code, _ in road.refusals() if contract == road.people) == Counter(_UNFIT)

    # Both types from here on; what was there stays where it was.
    road.release(3)
    road.play(mysql((long, "5"), (long, "with-delete")), refused=4 + len(_UNFIT))


# Documented events of other tables (five), one without an envelope, and a row that was unwrapped.
_UNFIT = [*["CDL-NO-FIELD"] * 6, "CDL-UNKNOWN-FIELD"]


def _documented(road: Road) -> Iterator[Foreign]:
    lines = (FIXTURES / "debezium-docs" / "events.dev.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        one = json.loads(line)
        name = ((one["event"].get("payload") or one["event"]).get("source") or {}).get("name", "none")
        yield Foreign(road.people, str(name), json.dumps(one["event"]).encode())
    for file in sorted((FIXTURES / "debezium-docs" / "serde").iterdir()):
        yield Foreign(road.people, "serde", file.read_bytes())


def _rows(road: Road) -> None:
    bench = road.bench
    assert {name: worker.halted for name, worker in bench.batches.workers.items()} == dict.fromkeys(bench.released)
    assert bench.dead_letters() == []
    columns = "tenant_id, id, name, weight, age, age__v3, address, _op, _deleted_at, event_id, _sequence"
    rows = {(row["tenant_id"], row["id"]): row for row in bench.silver(road.product, columns)}
    short = {key[1]: row for key, row in rows.items() if key[0] == "table/schemaevolution:product"}
    assert {
        key: (row["name"], row["age"], row["address"], row["_deleted_at"] is None) for key, row in short.items()
    } == {
        "101": (None, None, None, False),
        "102": ("car battery", None, None, True),
        "103": ("12-pack drill bits", 18, None, True),
        "104": ("hammer", 24, None, True),
        "105": ("hammer", None, "Beijing", True),
        "107": ("rocks", None, None, True),
    }
    long = {key[1]: row for key, row in rows.items() if key[0] == "table/schema/schemaevolution:product"}
    assert {key: (row["age"], row["age__v3"], row["weight"]) for key, row in long.items()} == {
        "101": (None, None, None),
        "103": (18, None, 0.8),
        "104": (24, None, 0.75),
        "105": (None, {"member_long": None, "member_string": "24"}, 0.75),
    }
    assert long["101"]["_deleted_at"] is not None
    # Tables and tenants are apart: the same keys of two tables are two rows.
    for table, column, values in (("t1", "age", [19, 25]), ("t2", "address", ["Beijing", "Shanghai"])):
        mine = {key[1]: row for key, row in rows.items() if key[0] == f"database/schemaevolution:{table}"}
        assert [mine[key][column] for key in ("103", "104")] == values
    assert {key[0] for key in rows if key[0].startswith("database/include")} == {
        f"database/include:{table}" for table in ("paimon_1", "paimon_2", "ignore", "flink")
    }
    assert rows["table/nestedtype:product", "101"]["name"] == "hammer"

    history = bench.rows("silver", f"{bench.released[road.product].contract.table}_history", "*")
    assert len(history) == bench.ledger(road.product)["applied"] + bench.ledger(road.product).get("superseded", 0)
    newest = {}
    for change in sorted(history, key=lambda c: (c["_sequence"], c["event_id"])):
        newest[change["tenant_id"], change["id"]] = change["event_id"]
    assert {place: row["event_id"] for place, row in rows.items()} == newest

    [row] = bench.silver(road.types)
    assert {name: row[name] for name in TYPES if name != "_point"} == {
        name: value for name, (_, value) in TYPES.items() if name != "_point"
    }
    assert (row["_point"]["x"], row["_point"]["y"], row["_op"]) == (1.0, 1.0, "r")

    # Every documented person was deleted in the end, or truncated; the one in `serde` was created and renamed.
    people = {(row["tenant_id"], row["id"]): row for row in bench.silver(road.people)}
    living = {place for place, row in people.items() if row["_deleted_at"] is None}
    assert living == {("serde", "1004")}
    assert {place[1] for place in people if not place[1].startswith("__")} == {"1", "1004"}
    assert people["serde", "1004"]["email"] == "an***@noanswer.org"
    assert bench.findings() == []
