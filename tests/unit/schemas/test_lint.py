"""Lint refuses what would leak, break keys or rewrite history, and points at what looks wrong."""

from pathlib import Path
from typing import Any

import pytest

from schemas.contract import Contract
from schemas.errors import ContractError
from schemas.lint import Finding, lint, refuse, same_table
from schemas.load import BUILT_IN_ROOT, load_catalog, load_contract
from schemas.scaffold import activate, new, write_wire
from tests.support.contracts import BASE, TIME, YAML, field, make, pii, write

UPSERT = YAML.replace("mode: append", "mode: upsert\nkey: [tenant_id, thing_id]\nsequence: [happened_at]")


def found(contract: Contract, released: Contract | None = None) -> list[tuple[str, str]]:
    """(severity, code) of the findings that are no missing wire file."""
    return [(f.severity, f.topic) for f in lint(contract, released) if f.topic != "WIRE"]


def messages(contract: Contract, released: Contract | None = None) -> str:
    return "\n".join(f.message for f in lint(contract, released) if f.topic != "WIRE")


def test_the_repositorys_contracts_are_clean() -> None:
    """No contract of ours has a finding, not even a warning."""
    for contract in load_catalog(BUILT_IN_ROOT).values():
        assert lint(contract) == []


@pytest.mark.parametrize("mode", ["append", "upsert", "cdc"])
def test_a_new_contract_is_clean(tmp_path: Path, mode: Any) -> None:
    """What `contract new` writes passes lint, wire schema included, and is never written over."""
    contract = new(tmp_path, "sales.visit", mode)
    assert lint(contract) == []
    with pytest.raises(ContractError, match="already"):
        new(tmp_path, "sales.visit", mode)
    assert lint(new(tmp_path, "sales.event", mode)) == []


def test_personal_data_stays_out_of_keys(tmp_path: Path) -> None:
    """A personal field in the key, the event id, the tenant or the sequence is an error that names field and place."""
    person = {"name": "person", "pii": "cpf", "id": "person", "type": "string"}
    for yaml, place in (
        (UPSERT.replace("[tenant_id, thing_id]", "[tenant_id, person]"), "key"),
        (YAML.replace("event_id: event_id", "event_id: person"), "event id"),
        (YAML.replace("tenant: tenant_id", "tenant: person"), "tenant"),
        (UPSERT.replace("[happened_at]", "[person]"), "sequence"),
    ):
        contract = make(tmp_path / place.replace(" ", ""), (person,), yaml=yaml)
        assert ("error", "PII") in found(contract)
        assert f"`person` is personal and part of the {place}" in messages(contract)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (field("a", "string", pii="cpf"), "no stable `id`"),
        (field("a", "string", pii="passport", id="a"), "no class of personal data"),
        (field("a", "long", pii="cpf", id="a"), "only string and array of string can be sealed"),
        (field("a", {"type": "map", "values": "string"}, pii="cpf", id="a"), "only string and array of string"),
        (field("a", {"type": "array", "items": "long"}, pii="cpf", id="a"), "only string and array of string"),
        (
            field("a", {"type": "record", "name": "In", "fields": [pii("mail", "email")]}),
            "`mail` is personal and lies inside another record",
        ),
        (
            field("a", {"type": "array", "items": {"type": "record", "name": "In", "fields": [pii("mail", "email")]}}),
            "`mail` is personal and lies inside another record",
        ),
    ],
)
def test_personal_fields_can_be_sealed(tmp_path: Path, item: dict[str, Any], says: str) -> None:
    """A tag needs a class, a stable id, and a text or texts at the top level."""
    contract = make(tmp_path, (item,))
    assert ("error", "PII") in found(contract)
    assert says in messages(contract)


def test_texts_and_lists_of_texts_are_sealed(tmp_path: Path) -> None:
    """string and array of string, nullable or not, pass."""
    texts = {"type": "array", "items": "string"}
    plain = {"name": "d", "pii": "phone", "id": "d", "type": texts, "default": []}
    contract = make(tmp_path, (pii("a", "cpf"), pii("b", "phone", texts), plain))
    assert found(contract) == []
    assert [item.is_array for item in contract.pii_fields] == [False, True, True]


@pytest.mark.parametrize(
    "name",
    ["cpf", "customer_email", "billing_phone", "home_address", "first_name", "bank_account", "ip", "card_number"],
)
def test_what_looks_personal_is_pointed_at(tmp_path: Path, name: str) -> None:
    """A text whose name says a person, without a tag, is a warning and no error, inside records too."""
    assert found(make(tmp_path / "a", (field(name, "string"),))) == [("warning", "PII")]
    nested = {"type": "record", "name": "In", "fields": [field(name, "string")]}
    assert found(make(tmp_path / "b", (field("inner", nested),))) == [("warning", "PII")]


@pytest.mark.parametrize("name", ["order_name", "title", "name", "shipping_city", "device_ref", "card_brand", "method"])
def test_what_is_not_personal_is_left_alone(tmp_path: Path, name: str) -> None:
    """Names that only resemble personal ones give no warning, so that warnings are read."""
    assert found(make(tmp_path, (field(name, "string"),))) == []


def test_a_tag_never_changes(tmp_path: Path) -> None:
    """A tag added, taken away, or with another class or id in a later version is an error."""
    tagged, plain = pii("note", "free_text"), field("note", "string")
    other = {**tagged, "id": "other"}
    for index, versions in enumerate(([tagged], [plain]), start=1):
        nxt = plain if index == 1 else tagged
        contract = make(tmp_path / str(index), (versions[0],), (nxt,))
        assert "the tag of `note` differs" in messages(contract)
    assert "the tag of `note` differs" in messages(make(tmp_path / "3", (tagged,), (other,)))
    moved = make(tmp_path / "4", (tagged,), (tagged, {**pii("remark", "cpf"), "id": "note"}))
    assert "have the same `id`" in messages(moved)


def test_identity_is_always_there(tmp_path: Path) -> None:
    """A key that may be null, is missing in a version or has no order is an error."""
    nullable = tuple({**item, "type": ["null", "string"]} if item["name"] == "thing_id" else item for item in BASE)
    folder = write(tmp_path / "a", (), yaml=UPSERT)
    text = (folder / "v1.avsc").read_text("utf-8")
    import json

    (folder / "v1.avsc").write_text(json.dumps({**json.loads(text), "fields": list(nullable)}), "utf-8")
    assert "the key `thing_id` may be null" in messages(load_contract(folder))
    late = make(tmp_path / "b", (), ({"name": "own_id", "type": "string", "default": ""},), yaml=YAML)
    assert found(late) == []
    keyed = make(
        tmp_path / "c", (), ({"name": "own_id", "type": "string", "default": ""},),
        yaml=UPSERT.replace("thing_id]", "own_id]"),
    )  # fmt: skip
    assert "the key `own_id` is not in version 1" in messages(keyed)
    weighed = {"name": "weight", "type": "double"}
    assert "the key `weight` cannot be a double" in messages(
        make(tmp_path / "d", (weighed,), yaml=UPSERT.replace("thing_id]", "weight]"))
    )


def test_the_tenant_is_part_of_the_key(tmp_path: Path) -> None:
    """Without it two tenants could overwrite each other's rows."""
    contract = make(tmp_path, (), yaml=UPSERT.replace("[tenant_id, thing_id]", "[thing_id]"))
    assert "two tenants could overwrite each other" in messages(contract)


def test_a_cdc_contract_has_its_fields(tmp_path: Path) -> None:
    """mode cdc needs _op and _sequence."""
    yaml = UPSERT.replace("mode: upsert", "mode: cdc")
    assert "has a field `_op`" in messages(make(tmp_path / "a", (), yaml=yaml))
    good = ({"name": "_op", "type": "string"}, {"name": "_sequence", "type": "long"})
    assert found(make(tmp_path / "b", good, yaml=yaml)) == []


@pytest.mark.parametrize(
    ("item", "topic"),
    [
        (field("n", {"type": "record", "name": "Node", "fields": [field("next", "Node")]}), "TYPE"),
        (field("u", {"type": "record", "name": "Empty", "fields": []}), "TYPE"),
        (field("at", {"type": "long", "logicalType": "local-timestamp-millis"}), "TYPE"),
        ({"name": "x", "type": ["string", "null"], "default": None}, "TYPE"),
        (field("_batch", "long"), "NAME"),
        (field("_state", "string"), "NAME"),
        (field("_valid_to", "string"), "NAME"),
        (field("Tenant_ID", "string"), "NAME"),
        (field("n__v2", "string"), "NAME"),
        (field("s", {"type": "record", "name": "Sealed", "namespace": "caudal", "fields": []}), "NAME"),
    ],
)
def test_types_and_names_that_no_table_can_hold(tmp_path: Path, item: dict[str, Any], topic: str) -> None:
    """Recursive and empty records, times without a zone and taken names are errors."""
    if topic == "NAME" and item["name"] == "s":
        folder = write(tmp_path, (item,))
        assert ("error", topic) in found(load_contract(folder))
    else:
        assert ("error", topic) in found(make(tmp_path, (item,)))


def test_money_in_floats_is_pointed_at(tmp_path: Path) -> None:
    """An amount as a double is a warning that shows the decimal to write."""
    contract = make(tmp_path, (field("amount", "double"),))
    assert found(contract) == [("warning", "TYPE")]
    assert "decimal" in lint(contract)[-1].fix + lint(contract)[0].fix


def test_a_rule_outside_the_grammar_is_an_error(tmp_path: Path) -> None:
    """Lint parses the rules, and points at `quality`."""
    yaml = YAML + 'quality: [{code: X, rule: "random() > 1"}]\n'
    (finding,) = [f for f in lint(make(tmp_path, (), yaml=yaml)) if f.topic == "RULE"]
    assert (finding.severity, finding.line) == ("error", 8)


def test_a_record_keeps_its_name(tmp_path: Path) -> None:
    """A version with another full name is an error: readers would find its fields empty."""
    folder = write(tmp_path, (), ())
    text = (folder / "v2.avsc").read_text("utf-8")
    (folder / "v2.avsc").write_text(text.replace('"Thing"', '"Other"'), "utf-8")
    assert "the record is called `caudal.tests.Other`" in messages(load_contract(folder))


def test_versions_are_compatible(tmp_path: Path) -> None:
    """A version that cannot read an older one is an error under the contract's level, and none under NONE."""
    change = ((field("n", "int"),), (field("n", "string"),))
    assert ("error", "COMPATIBILITY") in found(make(tmp_path / "a", *change))
    free = YAML + "evolution: {compatibility: NONE}\n"
    assert found(make(tmp_path / "b", *change, yaml=free)) == []
    added = ((), ({"name": "n", "type": "int"},))
    assert ("error", "COMPATIBILITY") in found(make(tmp_path / "c", *added))


def test_what_is_released_stays(tmp_path: Path) -> None:
    """Another text, a missing version, another key or a ref on an old version is refused once it is released."""
    released = make(tmp_path / "a", (pii("card", "card"),), (pii("card", "card"), field("n", "int")))
    assert found(released, released) == []
    changed = make(tmp_path / "b", (pii("card", "card"), field("m", "int")), (pii("card", "card"), field("n", "int")))
    assert "version 1 is released and its schema has changed" in messages(changed, released)
    shorter = make(tmp_path / "c", (pii("card", "card"),))
    assert "version 2 is released and its schema is gone" in messages(shorter, released)
    moved = make(
        tmp_path / "d", (pii("card", "card"),), (pii("card", "card"), field("n", "int")),
        yaml=YAML.replace("tenant: tenant_id", "tenant: thing_id"),
    )  # fmt: skip
    assert "`tenant` of a released contract never changes" in messages(moved, released)
    two = ((pii("card", "card"),), (pii("card", "card"), field("n", "int")))
    refs = make(tmp_path / "e", *two, yaml=YAML + "refs: {c: card}\n")
    assert "`refs` would change what travels" in messages(refs, released)


def test_a_ref_comes_with_a_new_field(tmp_path: Path) -> None:
    """A ref whose field version 1 does not have is on version 2's wire alone, so nothing released changes."""
    released = make(tmp_path / "a", ())
    contract = make(tmp_path / "b", (), (pii("card", "card"),), yaml=YAML + "refs: {c: card}\n")
    assert found(contract, released) == []
    wires = [[item["name"] for item in version.wire["fields"]] for version in contract.versions]
    assert ["c_ref" in wire for wire in wires] == [False, True]


def test_two_contracts_never_share_a_table(tmp_path: Path) -> None:
    """`a.b_c` and `a_b.c` would both be silver.a_b_c: refused, whichever comes second."""
    one, two = make(tmp_path, (), id="a.b_c"), make(tmp_path, (), id="a_b.c")
    assert [f.topic for f in same_table(one, [one, two])] == ["NAME"]
    assert list(same_table(one, [one])) == []


def test_the_wire_file_is_held(tmp_path: Path) -> None:
    """A missing wire file is a warning, a wrong one an error, and --fix writes what is right."""
    folder = write(tmp_path, ())
    contract = load_contract(folder)
    assert [(f.severity, f.topic) for f in lint(contract)] == [("warning", "WIRE")]
    (folder / "v1.wire.avsc").write_text("{}", "utf-8")
    assert [(f.severity, f.topic) for f in lint(contract)] == [("error", "WIRE")]
    assert [file.name for file in write_wire(contract)] == ["v1.wire.avsc"]
    assert lint(contract) == []
    assert write_wire(contract) == []


def test_refusing_raises_the_first_error(tmp_path: Path) -> None:
    """Warnings pass; errors raise with place and the number of the others."""
    refuse([Finding("warning", "PII", "looks personal")])
    with pytest.raises(ContractError, match="and 1 more") as refused:
        refuse([Finding("error", "PII", "one", file=tmp_path / "v1.avsc", line=3), Finding("error", "TYPE", "two")])
    assert refused.value.where.endswith("v1.avsc:3")


def test_a_finding_points_at_the_field(tmp_path: Path) -> None:
    """The line is the one that names the field."""
    contract = make(tmp_path, (field("amount", "double"), field("happened_until", TIME)))
    (finding,) = [f for f in lint(contract) if f.topic == "TYPE"]
    assert finding.file is not None
    assert finding.line is not None
    assert '"amount"' in finding.file.read_text("utf-8").splitlines()[finding.line - 1]


def test_a_scaffold_is_a_draft_until_it_is_activated(tmp_path: Path) -> None:
    """Activating takes one line out and leaves the rest of the file as it is."""
    contract = new(tmp_path, "sales.visit")
    assert contract.draft
    assert contract.source_dir is not None
    file = contract.source_dir / "contract.yml"
    before = file.read_text(encoding="utf-8").splitlines()
    activate(contract)
    assert not load_contract(contract.source_dir).draft
    assert [line for line in before if not line.startswith("status:")] == file.read_text(encoding="utf-8").splitlines()
