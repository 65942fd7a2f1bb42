"""The committed contracts load, and what is derived from them is what is committed."""

import json
from pathlib import Path

import fastavro
import pytest

from schemas import wire
from schemas.contract import Contract
from schemas.load import BUILT_IN_ROOT, load_catalog
from schemas.tables import silver_columns

CATALOG = load_catalog(BUILT_IN_ROOT)
EVENTS = (
    "caudal.rejected", "commerce.customer", "commerce.order", "commerce.refund", "fraud.decision", "fraud.label",
    "payments.account", "payments.transaction", "product.event",
)  # fmt: skip


def test_the_catalog_holds_eight_contracts_and_the_built_in_one() -> None:
    """All nine contracts load, in order of their ids."""
    assert tuple(CATALOG) == EVENTS


@pytest.mark.parametrize("name", EVENTS)
def test_the_committed_wire_schema_is_the_derived_one(name: str) -> None:
    """What is committed as v<N>.wire.avsc is, byte by byte, what follows from the contract."""
    contract = CATALOG[name]
    for version in contract.versions:
        assert contract.source_dir is not None
        file = Path(contract.source_dir) / f"v{version.number}.wire.avsc"
        assert wire.text(version.wire) == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("contract", CATALOG.values(), ids=EVENTS)
def test_schemas_are_avro_for_another_reader(contract: Contract) -> None:
    """Contract and wire schemas parse in fastavro too, so ours is not the only parser that takes them."""
    for version in contract.versions:
        fastavro.parse_schema(json.loads(json.dumps(version.avsc)))
        fastavro.parse_schema(json.loads(json.dumps(version.wire)))


@pytest.mark.parametrize("contract", CATALOG.values(), ids=EVENTS)
def test_silver_has_every_field_once(contract: Contract) -> None:
    """Silver's columns begin with the contract's fields in order, and no name comes twice."""
    names = [column.name for column in silver_columns(contract)]
    fields = [item["name"] for item in contract.latest.avsc["fields"]]
    assert names[: len(fields)] == fields
    assert len(set(names)) == len(names)
