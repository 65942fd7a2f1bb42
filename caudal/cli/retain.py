"""`caudal retain`: what contracts no longer keep is removed now, instead of at its next turn."""

from __future__ import annotations

from typing import Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table

app = typer.Typer()


@app.command()
def retain(
    contract: Annotated[
        str | None, typer.Option("--contract", help="only of this contract", show_default="all")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="also purge raw, as streaming does monthly")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count what would go")] = False,
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the answer", min=1)] = 3600.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Remove from silver what is older than the contract's retention.tables; streaming does so daily by itself.

    Examples: caudal retain --dry-run · caudal retain --contract commerce.order --raw
    """
    from caudal import log, settings
    from streaming.ask import ask

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "retain")
    found = ask(loaded, "retain", {"contract": contract, "raw": raw, "dry_run": dry_run}, wait)
    heads = ("contract", "before", "rows", "versions", "skipped")
    emit(found, output, lambda: table(heads, [tuple(one.get(name, "") for name in heads) for one in found["tables"]]))
    if found["raw"] is not None:
        say(f"{found['raw']['records']} records of raw {'would be' if dry_run else 'were'} purged")
    next_step("caudal retain" if dry_run else "caudal verify --invariant 1")
