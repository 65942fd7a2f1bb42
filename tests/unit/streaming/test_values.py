"""The pure parts of streaming: facts, positions, verdicts on schemas, failures, commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import streaming
from caudal.errors import TransientError
from schemas.lint_types import WORKING
from schemas.tables import CHANGE_FIELDS, DELETED_AT, HISTORY_META, SET_BY, SILVER_META
from schemas.wire import compact
from streaming import failures
from streaming.batches import _further
from streaming.commands import answer
from streaming.decode import SENTINEL, wrapped
from streaming.errors import DataLoss, QueryFailed, Unbalanced
from streaming.facts import Facts, Parked, RawCommit, SilverCommit, raw_commit, silver_commit
from streaming.lag import behind
from streaming.raw import TopicPart
from streaming.read import starting_offsets
from streaming.registered import inlined
from streaming.tables import _sql
from streaming.writers import Registered, Writers, unsealed
from tests.support import contracts
from tests.support.released import released

KNOWN = released()
PAY = KNOWN["payments.transaction"]


class Registry:
    def __init__(self) -> None:
        self.schemas: dict[int, Registered] = {}
        self.away = False
        self.asked = 0

    def find(self, schema_id: int) -> Registered | None:
        self.asked += 1
        if self.away:
            raise TransientError("away")
        return self.schemas.get(schema_id)


def test_no_field_is_called_like_a_column_on_the_way() -> None:
    """Every column that a step of streaming makes for itself is a name that the linter refuses."""
    literal = re.compile(r"[\"'](_[a-z][a-z_]*)[\"']")
    texts = [path.read_text(encoding="utf-8") for path in Path(streaming.__file__).parent.glob("*.py")]
    told = {column.name for column in (*SILVER_META, *HISTORY_META, DELETED_AT)} | {SET_BY, *CHANGE_FIELDS}
    assert {name for text in texts for name in literal.findall(text)} - told - WORKING == set()


def test_facts_travel_through_a_commit_unchanged() -> None:
    """What is written into a commit's userMetadata is what is read from it."""
    line = Facts(7, "a.b", read=5, applied=2, duplicate=1, superseded=1, dead_letter=1, offsets={"0": [3, 8]})
    commit = SilverCommit("a.b", 7, (line,), (Parked("a.b", 6, 7, 12, 4),))
    assert commit == silver_commit(commit.text())
    raw = RawCommit(7, {"a.b": {0: 8, 1: 3}})
    assert raw == raw_commit(raw.text())
    assert (silver_commit(raw.text()), raw_commit("{"), silver_commit(None)) == (None, None, None)


def test_a_line_that_does_not_balance_is_refused() -> None:
    """read must be the sum of the states; a parked record that is decided later changes its state only."""
    Facts(1, "a.b", read=3, applied=1, superseded=1, parked=1).balance()
    Facts(1, "a.b", read=0, applied=1, parked=-1).balance()
    with pytest.raises(Unbalanced):
        Facts(1, "a.b", read=3, applied=1, superseded=1).balance()
    assert Facts(1, "a.b", read=-3, applied=-3) == Facts(1, "a.b", read=3, applied=3).negated()


def test_every_partition_has_a_starting_offset() -> None:
    """Spark wants all partitions named: those that raw never saw begin at their beginning."""
    found = json.loads(starting_offsets({"t": [0, 1], "new": [0]}, {"t": {0: 5}, "gone": {0: 1}}))
    assert found == {"t": {"0": 5, "1": -2}, "new": {"0": -2}}


def test_end_offsets_only_grow_by_what_a_batch_holds() -> None:
    """Partitions without records in the batch keep their end."""
    parts = {"t": TopicPart({1: 2}, {0: (5, 7)})}
    assert _further({"t": {0: 5, 1: 4}, "u": {0: 1}}, parts) == {"t": {0: 7, 1: 4}, "u": {0: 1}}
    assert behind({"t": {0: 8, 1: 6}, "v": {0: 2}}, {"t": {0: 7, 1: 4}}) == {"t": 3, "v": 2}


def test_ids_that_cannot_be_used_yet_wait() -> None:
    """Registry away, unknown to it, or newer than the contract known: waits, and is asked again only after a while."""
    registry, now = Registry(), [0.0]
    writers = Writers(registry, lambda reader, writer: True, monotonic=lambda: now[0])
    writers.release(PAY.contract, PAY.ids)
    assert writers.resolve(PAY.contract, PAY.ids[1]).verdict == "decodes"
    registry.away = True
    assert writers.resolve(PAY.contract, 77).verdict == "waits"
    registry.away = False
    assert (writers.resolve(PAY.contract, 77).verdict, registry.asked) == ("waits", 1)
    now[0] = 10.0
    wire = compact(PAY.contract.latest.wire)
    registry.schemas[77] = Registered(wire, ((PAY.contract.registry_subject, 2),))
    assert writers.resolve(PAY.contract, 77).verdict == "waits"
    registry.schemas[78] = Registered(wire, (("other", 1),))
    assert writers.resolve(PAY.contract, 78).verdict == "decodes"
    assert [w.schema_id for w in writers.unkept([77, 78])] == [77, 78]


def test_a_schema_with_a_personal_field_in_clear_is_plaintext() -> None:
    """The contract's own schema, which a producer that does not seal would write, names its first personal field."""
    assert unsealed(PAY.contract, PAY.contract.latest.avsc) == "customer_cpf"
    assert all(unsealed(one.contract, one.contract.latest.wire) is None for one in KNOWN.values())


def test_another_record_name_is_incompatible() -> None:
    """Field aliases fail silently across names, so a renamed record never decodes."""
    registry = Registry()
    renamed = {**PAY.contract.latest.wire, "name": "Other"}
    registry.schemas[5] = Registered(compact(renamed), (("other", 1),))
    writers = Writers(registry, lambda reader, writer: True)
    assert writers.resolve(PAY.contract, 5).verdict == "incompatible"


@pytest.mark.parametrize(
    ("extra", "verdict"),
    [
        ({"type": "enum", "name": "Level", "namespace": "caudal.tests", "symbols": ["LOW"]}, "decodes"),
        # Avro says that these two fit, and its decoder refuses them.
        ({"type": "enum", "name": "Level", "namespace": "others", "symbols": ["LOW"]}, "incompatible"),
        ({"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}, "incompatible"),
        ({"type": "array", "items": "null"}, "incompatible"),
        ("Unheard", "incompatible"),
    ],
)
def test_schemas_that_the_decoder_could_not_bear(tmp_path: Path, extra: object, verdict: str) -> None:
    """A type that contains itself, items of no bytes, an enum under another full name, and no schema at all."""
    level = {"type": "enum", "name": "Level", "symbols": ["LOW", "HIGH"]}
    contract = contracts.make(tmp_path, (contracts.field("level", level),))
    wire = contract.latest.wire
    others = [item for item in wire["fields"] if item["name"] != "level"]
    registry = Registry()
    text = json.dumps({**wire, "fields": [*others, {"name": "level", "type": extra}]})
    registry.schemas[5] = Registered(text, (("other", 1),))
    assert Writers(registry, lambda reader, writer: True).resolve(contract, 5).verdict == verdict


def test_the_sentinel_never_equals_a_shift_of_itself() -> None:
    """So no number of trailing bytes short of eight can be taken for it."""
    assert all(SENTINEL[n:] != SENTINEL[: len(SENTINEL) - n] for n in range(1, len(SENTINEL)))
    assert {"record", "sentinel"} == {f["name"] for f in json.loads(wrapped('"string"'))["fields"]}


def test_references_are_written_out_where_first_used() -> None:
    """Afterwards the name alone stands for the type, and name spaces are respected."""
    address = {"type": "record", "name": "Address", "namespace": "n", "fields": [{"name": "city", "type": "string"}]}
    schema = {
        "type": "record",
        "name": "R",
        "namespace": "n",
        "fields": [{"name": "a", "type": ["null", "Address"]}, {"name": "b", "type": "n.Address"}],
    }
    found = inlined(schema, {"n.Address": address})
    assert ["null", address] == found["fields"][0]["type"]
    assert found["fields"][1]["type"] == "n.Address"


def test_failures_keep_their_kind_and_never_their_text() -> None:
    """What Spark throws may quote data; only class names and conditions are kept."""
    text = "org.apache.spark.SparkException: [SOME_CONDITION] value 529.982.247-25\n\tat x.y.Z"
    named = failures.named(RuntimeError(text), "here")
    assert "529" not in str(named)
    assert "SOME_CONDITION" in named.why
    assert failures.named(OSError("No space left on device"), "here").code == "CDL-DISK-FULL"
    assert isinstance(failures.of_query(RuntimeError("[KAFKA_DATA_LOSS.X] gone"), "q"), DataLoss)
    assert isinstance(failures.of_query(RuntimeError("x"), "q"), QueryFailed)


def test_commands_are_answered_by_id() -> None:
    """A verb of another stage is left alone, an error is an answer too."""

    def broken(_: str, __: object) -> object:
        raise RuntimeError("no")

    known = {"ping": lambda identity, _: {"batch": 3, "id": identity}, "broken": broken}
    assert answer(b'{"id":"1","verb":"ping"}', known) == {"id": "1", "ok": True, "result": {"batch": 3, "id": "1"}}
    refused = answer(b'{"id":"2","verb":"broken"}', known)
    assert refused is not None
    assert (refused["ok"], refused["error"]["code"]) == (False, "CDL-UNEXPECTED")
    assert (answer(b'{"id":"3","verb":"retrain"}', known), answer(b"{", known)) == (None, None)


def test_column_types_are_read_from_the_log() -> None:
    """Delta's schema JSON as Spark writes types, nested ones included."""
    struct = {"type": "struct", "fields": [{"name": "a", "type": "long"}, {"name": "b", "type": "decimal(18,2)"}]}
    assert _sql({"type": "array", "elementType": struct}) == "ARRAY<STRUCT<a: BIGINT, b: DECIMAL(18,2)>>"
    assert _sql({"type": "map", "keyType": "string", "valueType": "binary"}) == "MAP<STRING, BINARY>"
