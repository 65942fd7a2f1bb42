"""What is written wrongly is refused with file, line and what to write."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import duration, read
from schemas.document import Document
from schemas.errors import ContractError
from schemas.load import BUILT_IN_ROOT, load_catalog, load_contract, load_each
from tests.support.contracts import YAML, field, make, write


def refusal(root: Path, yaml: str, *versions: tuple[dict[str, object], ...]) -> ContractError:
    with pytest.raises(ContractError) as refused:
        load_contract(write(root, *(versions or ((),)), yaml=yaml))
    return refused.value


@pytest.mark.parametrize(
    ("yaml", "code", "line", "says"),
    [
        (YAML + "lateness: soon\n", "VALUE", 8, "P7D"),
        (YAML + "latenes: P7D\n", "KEY", 8, "did you mean `lateness`?"),
        (YAML + "refs: {card: card_nmber}\n", "FIELD", 8, "there is no field `card_nmber`"),
        (YAML + "owner: twice\n", "YAML", 8, "`owner` is said twice"),
        (YAML + "history: maybe\n", "VALUE", 8, "history: true"),
        (YAML + "quality:\n  - {code: X}\n", "KEY", 9, "`rule` is missing"),
        (YAML + "quality:\n  - {code: x, rule: 'tenant_id is null'}\n", "RULE", 9, "A-Z"),
        (YAML + "evolution: {compatibility: SIDEWAYS}\n", "VALUE", 8, "BACKWARD_TRANSITIVE"),
        (YAML + "subject: {kind: customer}\n", "VALUE", 8, "by: [customer_id]"),
        (YAML + "subject: {kind: customer, by: [tenant_idd]}\n", "FIELD", 8, "did you mean `tenant_id`?"),
        (YAML + "slaProperties: [{property: freshness, value: fast}]\n", "VALUE", 8, "value: 60"),
        (YAML.replace("mode: append", "mode: upsert"), "KEY", 4, "`key` is missing"),
        (YAML.replace("mode: append", "mode: stream"), "VALUE", 4, "append, upsert, cdc"),
        (YAML.replace("owner: tests\n", ""), "KEY", 1, "`owner` is missing"),
        (YAML.replace("ID", "tests.other"), "NAME", 1, "does not fit its folder"),
        (YAML.replace("ID", "Tests"), "NAME", 1, "<domain>.<event>"),
        ("id: [", "YAML", 1, "no valid YAML"),
        ("- a\n", "YAML", 1, "a contract is a mapping"),
    ],
)
def test_the_yaml_is_refused_with_its_line(tmp_path: Path, yaml: str, code: str, line: int, says: str) -> None:
    """Each mistake has a code, points at its line and says what to write."""
    error = refusal(tmp_path, yaml)
    assert (error.code, error.line, error.exit_code) == (f"CDL-CONTRACT-{code}", line, 4)
    assert says in str(error)
    assert f"contract.yml:{line}" in error.where


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no valid JSON"),
        ('"string"', "an event is an Avro record"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a", "type": "strng"}]}', "unknown type `strng`"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a"}]}', "a field has a name and a type"),
        ('{"type": "record", "name": "R"}', "`fields` is missing"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a b", "type": "int"}]}', "no legal field name"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "default": "x"}]}', "default"),
        ('{"type": "record", "name": "R", "fields": [{"name": "a", "type": ["int", "int"]}]}', "twice in one union"),
    ],
)
def test_the_schema_is_refused_with_its_file(tmp_path: Path, text: str, says: str) -> None:
    """A schema that is no Avro record is refused with the file's name and the reason."""
    folder = write(tmp_path, ())
    (folder / "v1.avsc").write_text(text, encoding="utf-8")
    with pytest.raises(ContractError) as refused:
        load_contract(folder)
    assert refused.value.code == "CDL-CONTRACT-AVRO"
    assert "v1.avsc" in refused.value.where
    assert says in str(refused.value)


def test_a_bad_field_is_pointed_at_by_line(tmp_path: Path) -> None:
    """When the schema is spread over lines, the error names the field's own."""
    folder = write(tmp_path, (field("size", "intt"),))
    with pytest.raises(ContractError) as refused:
        load_contract(folder)
    lines = (folder / "v1.avsc").read_text(encoding="utf-8").splitlines()
    assert refused.value.line is not None
    assert '"size"' in lines[refused.value.line - 1]


def test_versions_count_without_gaps(tmp_path: Path) -> None:
    """A missing version is named; a contract without any says what to write."""
    folder = write(tmp_path, (), (), ())
    (folder / "v2.avsc").unlink()
    with pytest.raises(ContractError, match=r"v2\.avsc is missing"):
        load_contract(folder)
    for file in folder.glob("v*.avsc"):
        file.unlink()
    with pytest.raises(ContractError, match=r"write v1\.avsc"):
        load_contract(folder)


def test_names_of_the_wire_are_taken(tmp_path: Path) -> None:
    """A field called like one that the wire adds is refused."""
    with pytest.raises(ContractError, match="the name `origin` is taken"):
        make(tmp_path, (field("origin", "string"),))


def test_one_bad_contract_does_not_hide_the_others(tmp_path: Path) -> None:
    """Loading each gives every good contract, the built-in one, and the error of the bad one."""
    write(tmp_path, (), id="tests.good")
    write(tmp_path, (), id="tests.bad", yaml="id: [")
    found = list(load_each(tmp_path))
    assert {c.id for c in found if not isinstance(c, ContractError)} == {"tests.good", "caudal.rejected"}
    assert len([c for c in found if isinstance(c, ContractError)]) == 1
    with pytest.raises(ContractError):
        load_catalog(tmp_path)


def test_a_contract_survives_its_own_record() -> None:
    """What is distributed says everything: the record read back is the same contract."""
    for contract in load_catalog(BUILT_IN_ROOT).values():
        back = read.contract(Document(Path("x"), json.loads(json.dumps(read.record(contract))), {}))
        assert replace(back, versions=contract.versions) == contract


@given(st.integers(0, 10**9))
def test_durations_are_read_as_written(seconds: int) -> None:
    """Every span is rendered to a text that reads back as the same span."""
    span = timedelta(seconds=seconds)
    assert duration.parse(duration.render(span)) == span


@pytest.mark.parametrize("text", ["", "P", "PT", "7D", "P1.5D", "P-1D", "P1DT", "1", "P7d"])
def test_no_duration(text: str) -> None:
    """What ISO 8601 does not write is refused."""
    with pytest.raises(ValueError, match="no ISO 8601 duration"):
        duration.parse(text)
