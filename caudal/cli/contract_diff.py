"""`caudal contract diff`: what an apply would change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from caudal.cli.contract_source import ContractsOption, catalog_of, one_of, released_by, settings_of
from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, table
from caudal.errors import Exit

if TYPE_CHECKING:
    from schemas.diff import Diff


def diff(
    name: Annotated[str, typer.Argument(help="id of the contract")],
    since: Annotated[
        int | None, typer.Option("--from", help="its first versions instead of what is released", min=0)
    ] = None,
    data: DataOption = None,
    contracts: ContractsOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Show what an apply would change; exit 10 when something would, 4 when it would be refused.

    Example: caudal contract diff commerce.order
    """
    from dataclasses import replace

    from schemas.diff import diff as compare

    settings = settings_of(data, contracts)
    contract = one_of(catalog_of(settings), name)
    if since is None:
        before = released_by(settings).get(name)
    else:
        before = replace(contract, versions=contract.versions[:since]) if since else None
    found = compare(before, contract)
    answer = {
        "contract": name,
        "verdict": found.verdict,
        "changes": [change.record() for change in found.changes],
        "findings": [finding.record() for finding in found.findings],
    }
    emit(answer, output, lambda: compared(found))
    next_step(f"caudal contract apply {name}" if found.verdict == "pending" else f"caudal contract lint {name}")
    if found.verdict != "none":
        raise typer.Exit(Exit.CONTRACT if found.verdict == "breaking" else Exit.PENDING)


def compared(found: Diff) -> str:
    """For people: the changes, what the linter says, the verdict."""
    rows = [(c.verb, c.kind, c.name, c.before or "", c.after or "") for c in found.changes]
    listed = table(("", "what", "name", "before", "after"), rows) if rows else "nothing changes"
    said = [f"{finding.severity}: {finding.message}" for finding in found.findings]
    return "\n".join([listed, *said, f"verdict: {found.verdict}"])
