"""`caudal purge`: records out of raw for good, with an audit line for each."""

from __future__ import annotations

from typing import Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table

app = typer.Typer(help="Take records out of raw for good, audited.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Take records out of raw for good, audited."""


@app.command()
def raw(
    by: Annotated[str, typer.Option(help="who purges, kept in the audit")],
    reason: Annotated[str, typer.Option(help="why, kept in the audit")],
    contract: Annotated[
        str | None, typer.Option("--contract", help="only of this contract", show_default="all")
    ] = None,
    code: Annotated[
        str | None, typer.Option(help="dead letters that cannot be healed: CDL-PLAINTEXT, …", show_default=False)
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="older than a raw batch, time or duration ago", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count what would go")] = False,
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the answer", min=1)] = 3600.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Delete raw records: dead letters of a code, or what is older than the contract's retention.tables allows.

    Each is named beforehand in ops/purges by its place, with a digest, who and why; never a value. Exit 2 when the
    contract still keeps them. Examples: caudal purge raw --code CDL-PLAINTEXT --by ana --reason INC-7 --dry-run ·
    caudal purge raw --contract commerce.order --before P3Y --by ana --reason "end of retention"
    """
    from caudal import log, settings
    from streaming.ask import ask

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "purge")
    asked = {"contract": contract, "code": code, "before": before, "reason": reason, "dry_run": dry_run}
    found = ask(loaded, "purge", {**asked, "by": by}, wait)
    heads = ("contract", "records", "ranges", "first_batch", "last_batch")
    emit(found, output, lambda: table(heads, [tuple(one[name] for name in heads) for one in found["contracts"]]))
    say(f"{found['records']} records {'would be' if dry_run else 'were'} purged")
    next_step("the same without --dry-run" if dry_run else "caudal verify --invariant 1")
