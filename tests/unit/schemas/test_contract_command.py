"""`caudal contract` answers people and programs, and its exit codes say what happened."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from caudal.cli.contract import app
from caudal.errors import Exit, UsageError
from schemas import odcs
from schemas.errors import ContractError
from schemas.load import BUILT_IN_ROOT, load_catalog
from tests.support.contracts import YAML, field, write

COMMITTED = ("--contracts", str(BUILT_IN_ROOT))


def run(*args: str) -> Result:
    return CliRunner().invoke(app, args)


def answer(*args: str) -> dict[str, Any]:
    result = run(*args, "-o", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_list_names_all_contracts() -> None:
    """All nine, with versions and personal fields, as a table and as JSON; the next command is on standard error."""
    listed = answer("list", *COMMITTED)["contracts"]
    assert [contract["id"] for contract in listed] == list(load_catalog(BUILT_IN_ROOT))
    plain = run("list", *COMMITTED)
    assert "payments.transaction" in plain.stdout
    assert "Next: caudal contract show" in plain.stderr


def test_show_tells_what_follows() -> None:
    """Topic, subject, table, columns with roles, rules as Spark judges them."""
    shown = answer("show", "commerce.order", *COMMITTED)
    assert (shown["topic"], shown["subject"]) == ("commerce.order", "commerce.order-value")
    columns = {column["name"]: column for column in shown["columns"]}
    assert (columns["customer_email"]["role"], columns["customer_email"]["pii"]) == ("mask", "email")
    assert columns["shipping_ref"]["role"] == "ref"
    assert "CDL-RULE-NEG_TOTAL" in {rule["code"] for rule in shown["rules"]}
    assert "silver.commerce_order" in run("show", "commerce.order", *COMMITTED).stdout


def test_an_unknown_contract_is_a_usage_error() -> None:
    """A mistyped id is refused with the nearest one."""
    result = run("show", "commerce.ordr", *COMMITTED)
    assert isinstance(result.exception, UsageError)
    assert "commerce.order" in result.exception.fix
    assert isinstance(run("lint", "nothing.here", *COMMITTED).exception, UsageError)


def test_lint_is_quiet_when_all_is_well() -> None:
    """The committed contracts lint clean."""
    assert answer("lint", *COMMITTED) == {
        "schema_version": 1, "ok": True, "contracts": 9, "written": [], "findings": [],
    }  # fmt: skip


def test_lint_reports_all_contracts_and_exits_4(tmp_path: Path) -> None:
    """One unreadable contract and one with an error: both are reported, and the exit code says contract."""
    write(tmp_path, (), id="tests.bad", yaml=YAML + "nothing: here\n")
    write(tmp_path, (), id="tests.wrong", yaml=YAML.replace("tenant: tenant_id", "tenant: happened_at"))
    write(tmp_path, (), id="tests.good")
    result = run("lint", "--contracts", str(tmp_path), "-o", "json")
    found = json.loads(result.stdout)
    assert result.exit_code == 4
    assert not found["ok"]
    errors = {(f["contract"], f["code"]) for f in found["findings"] if f["severity"] == "error"}
    assert errors == {("tests.bad", "CDL-CONTRACT-KEY"), ("tests.wrong", "CDL-CONTRACT-TYPE")}
    assert run("lint", "tests.good", "--contracts", str(tmp_path)).exit_code == 0


def test_lint_fix_writes_the_wire_schema(tmp_path: Path) -> None:
    """--fix writes v1.wire.avsc, after which nothing is found."""
    folder = write(tmp_path, (), id="tests.good")
    fixed = answer("lint", "tests.good", "--fix", "--contracts", str(tmp_path))
    assert fixed["written"] == [str(folder / "v1.wire.avsc")]
    assert fixed["findings"] == []


def test_new_makes_a_contract(tmp_path: Path) -> None:
    """`contract new` writes three files that lint takes; a second time is refused."""
    made = answer("new", "sales.visit", "--mode", "upsert", "--contracts", str(tmp_path))
    assert [Path(file).name for file in made["files"]] == ["contract.yml", "v1.avsc", "v1.wire.avsc"]
    assert answer("lint", "sales.visit", "--contracts", str(tmp_path))["ok"]
    again = run("new", "sales.visit", "--contracts", str(tmp_path))
    assert isinstance(again.exception, ContractError)
    assert isinstance(run("new", "Visit", "--contracts", str(tmp_path)).exception, ContractError)


@pytest.mark.parametrize("name", load_catalog(BUILT_IN_ROOT))
def test_export_speaks_odcs(name: str) -> None:
    """The export has the standard's required parts; every field, rule and personal tag is in it."""
    contract = load_catalog(BUILT_IN_ROOT)[name]
    document = answer("export", name, *COMMITTED)["document"]
    assert {"apiVersion", "kind", "id", "version", "status", "schema"} <= set(document)
    (schema,) = document["schema"]
    assert [p["name"] for p in schema["properties"]] == [f["name"] for f in contract.latest.avsc["fields"]]
    assert len(schema.get("quality", [])) == len(contract.quality) + len(contract.measures)
    personal = {p["name"] for p in schema["properties"] if p.get("classification") == "restricted"}
    assert personal == {item.name for item in contract.pii_fields}
    assert run("export", name, *COMMITTED).stdout == odcs.to_yaml(document)


def test_export_can_print_the_wire_schema() -> None:
    """--wire prints exactly the committed file."""
    file = BUILT_IN_ROOT / "commerce" / "refund" / "v1.wire.avsc"
    assert run("export", "commerce.refund", "--wire", *COMMITTED).stdout == file.read_text("utf-8")


def test_diff_tells_what_an_apply_would_change(tmp_path: Path) -> None:
    """A new field is a version, a field and a column; exit 10 says pending, 0 nothing, 4 that it would be refused."""
    write(tmp_path, (), (field("colour", "string"),))
    pending = run("diff", "tests.thing", "--from", "1", "--contracts", str(tmp_path), "-o", "json")
    assert pending.exit_code == Exit.PENDING
    told = json.loads(pending.stdout)
    assert told["verdict"] == "pending"
    assert {(c["change"], c["kind"], c["name"]) for c in told["changes"]} == {
        ("added", "version", "2"),
        ("added", "field", "colour"),
        ("added", "column", "colour"),
    }
    same = run("diff", "tests.thing", "--from", "2", "--contracts", str(tmp_path))
    assert (same.exit_code, "nothing changes" in same.stdout) == (0, True)
    write(tmp_path, (), ({"name": "must", "type": "string"},))
    refused = run("diff", "tests.thing", "--from", "1", "--contracts", str(tmp_path), "-o", "json")
    assert (refused.exit_code, json.loads(refused.stdout)["verdict"]) == (Exit.CONTRACT, "breaking")
