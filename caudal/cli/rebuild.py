"""`caudal rebuild`: a table made anew from raw, while the stream runs."""

from __future__ import annotations

from typing import Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table

app = typer.Typer(help="Make a table anew from raw.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make a table anew from raw."""


@app.command()
def silver(
    contract: Annotated[str, typer.Argument(help="the contract's id")],
    begin: Annotated[
        str | None, typer.Option("--from", help="raw batch, time or duration ago", show_default="the beginning")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the answer", min=1)] = 3600.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Make silver of a contract anew and swap it in by one commit.

    With --from what came before is taken from the version that the table had then; exit 2 when that was cleaned up.
    Examples: caudal rebuild silver commerce.order · caudal rebuild silver commerce.order --from P1D
    """
    from caudal import log, settings
    from streaming.ask import ask

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "rebuild")
    say(f"making silver of {contract} anew from raw; the stream goes on meanwhile (caudal logs streaming)")
    found = ask(loaded, "rebuild", {"contract": contract, "from": begin}, wait)
    changes = found["changes"]
    rows = [
        ("contract", found["contract"]),
        ("raw batches", f"{found['from_batch']} to {found['batch']}"),
        ("table version", found["version"]),
        ("records applied", found["applied"]),
        *((f"change of {name}", n) for name, n in changes.items()),
    ]
    emit(found, output, lambda: table(("what", "value"), rows))
    next_step("caudal verify")
