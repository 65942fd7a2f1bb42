"""What travels: personal fields sealed in place, refs and origin behind, every released text for ever the same."""

from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro

from schemas import wire
from schemas.contract import Contract
from schemas.distribution import Released, from_bytes, to_bytes
from schemas.load import BUILT_IN_ROOT, load_catalog
from tests.support.contracts import YAML, field, make, pii


def names(contract: Contract) -> list[str]:
    return [item["name"] for item in contract.latest.wire["fields"]]


def test_fields_keep_their_places(tmp_path: Path) -> None:
    """Contract fields first and in order, then subject_ref, refs by name, origin."""
    texts = (pii("card", "card"), pii("addr", "ip"), field("size", "int"))
    contract = make(tmp_path, texts, yaml=YAML + "refs: {z: card, a: addr}\n")
    own = [item["name"] for item in contract.latest.avsc["fields"]]
    assert names(contract) == [*own, "subject_ref", "a_ref", "z_ref", "origin"]


def test_sealed_fields_hold_mask_and_token(tmp_path: Path) -> None:
    """A personal text becomes a nullable caudal.Sealed, a list of texts an array of it; the type is defined once."""
    many = pii("phones", "phone", {"type": "array", "items": "string"})
    contract = make(tmp_path, (pii("card", "card"), many))
    kinds = {item["name"]: item["type"] for item in contract.latest.wire["fields"]}
    assert kinds["card"][0] == "null"
    assert (kinds["card"][1]["namespace"], kinds["card"][1]["name"]) == ("caudal", "Sealed")
    assert kinds["phones"] == ["null", {"type": "array", "items": "caudal.Sealed"}]


def test_a_record_makes_the_trip(tmp_path: Path) -> None:
    """A sealed record is written and read back by another implementation of Avro."""
    contract = make(tmp_path, (pii("card", "card"), pii("phones", "phone", {"type": "array", "items": "string"})))
    parsed = fastavro.parse_schema(contract.latest.wire)
    sealed = {"mask": "****", "token": b"\x01abc"}
    record: dict[str, Any] = {
        "event_id": "e", "tenant_id": "t", "thing_id": "x", "happened_at": 0, "card": sealed,
        "phones": [sealed, sealed], "subject_ref": None,
        "origin": {"source": "tests", "run": None, "position": "7", "observed_at": 0, "published_at": 0},
    }  # fmt: skip
    out = BytesIO()
    fastavro.schemaless_writer(out, parsed, record)
    out.seek(0)
    back = fastavro.schemaless_reader(out, parsed, None)
    assert isinstance(back, dict)
    assert (back["card"], back["phones"], back["origin"]["position"]) == (sealed, [sealed, sealed], "7")


def test_deriving_changes_nothing_it_was_given(tmp_path: Path) -> None:
    """Neither the contract's schema nor an earlier result changes when the wire schema is derived or altered."""
    contract = make(tmp_path, (pii("card", "card"),))
    before = wire.text(contract.latest.avsc)
    first = wire.derive(contract, contract.latest.avsc)
    first["fields"][-1]["type"]["fields"].clear()
    assert wire.text(contract.latest.avsc) == before
    assert wire.derive(contract, contract.latest.avsc) == contract.latest.wire


def test_what_is_distributed_is_the_contract() -> None:
    """A message of the contracts topic holds all versions and ids, and reads back as the same contract."""
    for number, contract in enumerate(load_catalog(BUILT_IN_ROOT).values(), start=1):
        released = Released(contract, {v.number: number * 10 + v.number for v in contract.versions})
        assert from_bytes(to_bytes(released)) == released
