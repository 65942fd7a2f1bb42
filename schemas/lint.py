"""What a contract may not do, and what looks wrong in it. Form was judged when it was loaded; this judges meaning."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from schemas import document, load, rules, wire
from schemas.contract import Contract
from schemas.errors import ContractError


@dataclass(frozen=True)
class Finding:
    """One thing found. An error keeps the contract from being applied; a warning is for whoever wrote it."""

    severity: Literal["error", "warning"]
    topic: str
    message: str
    fix: str = ""
    file: Path | None = None
    line: int | None = None

    @property
    def code(self) -> str:
        return f"CDL-CONTRACT-{self.topic}"

    @property
    def place(self) -> str:
        return "" if self.file is None else str(self.file) if self.line is None else f"{self.file}:{self.line}"

    def record(self) -> dict[str, str]:
        """The finding as JSON-ready facts."""
        facts = {"severity": self.severity, "code": self.code, "message": self.message}
        return {**facts, "where": self.place, "fix": self.fix}

    def error(self) -> ContractError:
        return ContractError(self.topic, self.message, file=self.file, line=self.line, fix=self.fix)


def lint(contract: Contract, released: Contract | None = None) -> list[Finding]:
    """All findings, errors first. `released` is the form that running stages hold; it may grow, never change."""
    from schemas import lint_columns, lint_identity, lint_measures, lint_pii, lint_release, lint_types

    found = [
        *lint_types.findings(contract),
        *lint_identity.findings(contract),
        *lint_columns.findings(contract),
        *lint_pii.findings(contract),
        *_rules(contract),
        *lint_measures.findings(contract),
        *_wire_files(contract),
        *lint_release.findings(contract, released),
    ]
    return sorted(dict.fromkeys(found), key=lambda finding: finding.severity)


def same_table(contract: Contract, others: Iterable[Contract]) -> Iterator[Finding]:
    """`a.b_c` and `a_b.c` are two contracts and one table name (and two topics that Kafka cannot tell apart)."""
    for other in others:
        if other.id != contract.id and other.table == contract.table:
            message = f"{contract.id} and {other.id} would share the table silver.{contract.table}"
            yield at_key(contract, "id", "NAME", message, "give one of them another id")


def refuse(findings: Iterable[Finding]) -> None:
    """Raise the first error, if there is one, saying how many more there are."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        error = errors[0].error()
        if len(errors) > 1:
            error.why = f"and {len(errors) - 1} more: see `caudal contract lint`"
        raise error


def at_field(
    contract: Contract, number: int, field: str | None, topic: str, message: str, fix: str = "", *, warn: bool = False
) -> Finding:
    """A finding at a field of `v<number>.avsc`."""
    file = contract.source_dir / f"v{number}.avsc" if contract.source_dir else None
    line = load.line_of(file, field) if file is not None and file.is_file() else None
    return Finding("warning" if warn else "error", topic, message, fix, file, line)


def at_key(contract: Contract, key: str, topic: str, message: str, fix: str = "", *, warn: bool = False) -> Finding:
    """A finding at a key of `contract.yml`."""
    file = contract.source_dir / load.CONTRACT_FILE if contract.source_dir else None
    line = document.read(file).line((key,)) if file is not None and file.is_file() else None
    return Finding("warning" if warn else "error", topic, message, fix, file, line)


def _rules(contract: Contract) -> Iterator[Finding]:
    for rule in contract.quality:
        try:
            rules.parse(rule, contract)
        except ContractError as error:
            yield at_key(contract, "quality", "RULE", error.what, error.fix)


def _wire_files(contract: Contract) -> Iterator[Finding]:
    if contract.source_dir is None:
        return
    for version in contract.versions:
        file = contract.source_dir / f"v{version.number}.wire.avsc"
        fix = f"caudal contract lint {contract.id} --fix"
        if not file.is_file():
            yield Finding("warning", "WIRE", f"{file.name} is not there yet", fix, file)
        elif file.read_text(encoding="utf-8") != wire.text(version.wire):
            yield Finding("error", "WIRE", f"{file.name} is not what follows from the contract", fix, file)
