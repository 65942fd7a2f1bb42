"""`caudal restore`: a table back to an older version, and caught up from raw."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table

app = typer.Typer(help="Put a table back to an older version.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Put a table back to an older version."""


@app.command()
def silver(
    contract: Annotated[str, typer.Argument(help="the contract's id")],
    to: Annotated[str, typer.Option("--to", help="a version of the table, a time, or a duration ago")],
    by: Annotated[str, typer.Option(help="who asks for it; default: this machine's user")] = "",
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the answer", min=1)] = 3600.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Put silver of a contract back to a version and catch up from raw at once; other contracts go on meanwhile.

    Exit 2 when that version was cleaned up or cannot be gone back to. Healed dead letters after it are open again.
    Examples: caudal restore silver commerce.order --to 120 · caudal restore silver commerce.order --to PT2H
    """
    from caudal import log, settings
    from streaming.ask import ask

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "restore")
    say(f"restoring silver of {contract} and catching up from raw (caudal logs streaming)")
    found = ask(loaded, "restore", {"contract": contract, "to": to, "by": by or getpass.getuser()}, wait)
    rows = [
        ("contract", found["contract"]),
        ("restored to version", found["restored"]),
        ("commits undone", found["undone"]),
        ("raw batch", found["batch"]),
        ("table version", found["version"]),
    ]
    emit(found, output, lambda: table(("what", "value"), rows))
    next_step("caudal verify")
