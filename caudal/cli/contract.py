"""`caudal contract`: see, check, make, apply and export contracts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.contract_diff import diff
from caudal.cli.contract_source import ContractsOption, catalog_of, known, one_of, released_by, settings_of
from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import Exit

if TYPE_CHECKING:
    from schemas.contract import Contract
    from schemas.lint import Finding

app = typer.Typer(help="See, check, make and apply contracts.", no_args_is_help=True)


class ModeName(StrEnum):
    """Modes of a contract."""

    append = "append"
    upsert = "upsert"
    cdc = "cdc"


@app.callback()
def group() -> None:
    """See, check, make and apply contracts."""


@app.command("list")
def list_(data: DataOption = None, contracts: ContractsOption = None, output: OutputOption = Output.human) -> None:
    """List all contracts. Example: caudal contract list -o json"""
    catalog = catalog_of(settings_of(data, contracts))
    found: list[dict[str, Any]] = [
        {
            "id": contract.id,
            "mode": contract.mode,
            "versions": [version.number for version in contract.versions],
            "fields": len(contract.latest.avsc["fields"]),
            "personal": [item.name for item in contract.pii_fields],
            "owner": contract.owner,
            "description": contract.description,
        }
        for contract in catalog.values()
    ]
    rows = [(c["id"], c["mode"], len(c["versions"]), c["fields"], len(c["personal"]), c["owner"]) for c in found]
    heads = ("contract", "mode", "versions", "fields", "personal", "owner")
    emit({"contracts": found}, output, lambda: table(heads, rows))
    next_step("caudal contract show commerce.order")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="id of the contract")],
    data: DataOption = None,
    contracts: ContractsOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Show a contract and all that follows from it. Example: caudal contract show commerce.order"""
    from schemas import read, rules, tables

    contract = one_of(catalog_of(settings_of(data, contracts)), name)
    columns = tables.silver_columns(contract)
    personal = {item.name: item.cls for item in contract.pii_fields}
    answer: dict[str, Any] = {
        "contract": read.record(contract),
        "topic": contract.topic,
        "subject": contract.registry_subject,
        "table": f"silver.{contract.table}",
        "message_key": list(contract.message_key),
        "versions": {str(v.number): v.avsc for v in contract.versions},
        "columns": [
            {"name": c.name, "type": c.spark_type, "role": c.role, "pii": personal.get(c.name)} for c in columns
        ],
        "rules": [{"code": r.dead_letter_code, "spark": rules.compile_spark(r, contract)} for r in contract.quality],
    }
    emit(answer, output, lambda: _shown(contract, answer))
    next_step(f"caudal contract lint {name}")


@app.command()
def lint(
    names: Annotated[list[str] | None, typer.Argument(help="ids; all when none is given")] = None,
    fix: Annotated[bool, typer.Option("--fix", help="write the wire schemas that are missing or old")] = False,
    released: Annotated[bool, typer.Option("--released", help="compare with what the running stack holds")] = False,
    data: DataOption = None,
    contracts: ContractsOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Check contracts; exit 4 when one has an error. Example: caudal contract lint commerce.order --fix"""
    from schemas import scaffold
    from schemas.errors import ContractError
    from schemas.lint import Finding, same_table
    from schemas.lint import lint as judge
    from schemas.load import load_each

    settings = settings_of(data, contracts)
    before = released_by(settings) if released else {}
    everyone = list(load_each(settings.contracts_dir))
    readable = [found for found in everyone if not isinstance(found, ContractError)]
    findings: list[tuple[str, Finding]] = []
    seen: list[str] = []
    written: list[Path] = []
    for found in everyone:
        if isinstance(found, ContractError):
            where = found.file.parent if found.file is not None else None
            owner = f"{where.parent.name}.{where.name}" if where is not None else ""
            if not names or owner in names:
                seen.append(owner)
                findings.append((owner, Finding("error", found.topic, found.what, found.fix, found.file, found.line)))
        elif not names or found.id in names:
            seen.append(found.id)
            written += scaffold.write_wire(found) if fix else []
            judged = [*same_table(found, readable), *judge(found, before.get(found.id))]
            findings += [(found.id, item) for item in judged]
    known(names or (), seen)
    errors = sum(item.severity == "error" for _, item in findings)
    answer = {
        "ok": errors == 0,
        "contracts": len(seen),
        "written": [str(file) for file in written],
        "findings": [
            {
                "contract": name,
                "severity": f.severity,
                "code": f.code,
                "message": f.message,
                "where": f.place,
                "fix": f.fix,
            }
            for name, f in findings
        ],
    }
    emit(answer, output, lambda: _linted(findings, len(seen)))
    next_step("caudal contract apply" if errors == 0 else "correct the errors, then caudal contract lint")
    if errors:
        raise typer.Exit(Exit.CONTRACT)


app.command()(diff)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="<domain>.<event>")],
    mode: Annotated[ModeName, typer.Option(help="append, upsert or cdc")] = ModeName.append,
    data: DataOption = None,
    contracts: ContractsOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Make a contract to start from. Example: caudal contract new sales.visit"""
    from schemas import scaffold

    settings = settings_of(data, contracts)
    contract = scaffold.new(settings.contracts_dir, name, mode.value)
    folder = contract.source_dir or settings.contracts_dir
    files = sorted(str(file) for file in folder.iterdir())
    emit({"contract": name, "files": files}, output, lambda: "\n".join(files))
    next_step(f"edit {folder / 'v1.avsc'}, then caudal contract lint {name} --fix && caudal contract apply {name}")


@app.command()
def apply(
    names: Annotated[list[str] | None, typer.Argument(help="ids; all when none is given")] = None,
    data: DataOption = None,
    contracts: ContractsOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Register, create topics, tell the running stages; exit 4 when a contract is refused. Drafts when named only.

    Example: caudal contract apply commerce.order
    """
    from schemas import scaffold
    from schemas.apply import apply as make_real

    settings = settings_of(data, contracts)
    catalog = catalog_of(settings)
    known(names or (), catalog)
    for name in names or ():
        scaffold.activate(catalog[name])
    catalog = catalog_of(settings)
    results = make_real(settings, catalog, names or None)
    answer = {
        "ok": all(result.error is None for result in results),
        "contracts": [
            {
                "id": result.contract,
                "ids": {str(version): number for version, number in result.ids.items()},
                "topic_created": result.topic_created,
                "changed": result.changed,
                "error": result.error.facts() if result.error else None,
            }
            for result in results
        ],
    }
    rows = [
        (r.contract, len(r.versions), "new" if r.topic_created else "there", r.changed, r.error or "") for r in results
    ]
    emit(answer, output, lambda: table(("contract", "versions", "topic", "distributed", "error"), rows))
    next_step("caudal status" if answer["ok"] else "caudal contract lint --released")
    if not answer["ok"]:
        raise typer.Exit(Exit.CONTRACT)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="id of the contract")],
    odcs: Annotated[bool, typer.Option("--odcs/--wire", help="ODCS 3.1, or the wire schema")] = True,
    data: DataOption = None,
    contracts: ContractsOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Print a contract for other tools. Example: caudal contract export commerce.order --odcs > order.odcs.yaml"""
    from schemas import odcs as standard
    from schemas import wire

    settings = settings_of(data, contracts)
    contract = one_of(catalog_of(settings), name)
    if odcs:
        document = standard.export(contract, settings.kafka.bootstrap)
        emit({"document": document}, output, lambda: standard.to_yaml(document).rstrip())
    else:
        emit({"document": contract.latest.wire}, output, lambda: wire.text(contract.latest.wire).rstrip())
    next_step("caudal contract list")


def _shown(contract: Contract, answer: dict[str, Any]) -> str:
    facts = [
        ("topic", answer["topic"]),
        ("subject", answer["subject"]),
        ("table", answer["table"]),
        ("mode", contract.mode),
        ("message key", ", ".join(answer["message_key"])),
        ("versions", ", ".join(answer["versions"])),
        ("compatibility", contract.evolution.compatibility),
        ("owner", contract.owner),
    ]
    columns = [(c["name"], c["type"], c["role"], c["pii"] or "") for c in answer["columns"]]
    rules = [(rule["code"], rule["spark"]) for rule in answer["rules"]]
    parts = [
        contract.description,
        table(("", ""), facts).strip(),
        table(("column", "type", "role", "personal"), columns),
    ]
    if rules:
        parts.append(table(("rule", "as Spark judges it"), rules))
    return "\n\n".join(parts)


def _linted(findings: list[tuple[str, Finding]], contracts: int) -> str:
    for _, item in findings:
        if item.fix:
            say(f"{item.place}: {item.fix}")
    rows = [(f.severity, name, f.code, f.message) for name, f in findings]
    listed = table(("", "contract", "code", "finding"), rows) if rows else "nothing found"
    return f"{listed}\n{contracts} contracts looked at"
