"""`caudal recover`: positions from the tables alone, and the way on when Kafka lost records."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import Exit

app = typer.Typer(help="Positions from the tables alone.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Positions from the tables alone."""


@app.command()
def checkpoint(
    accept_loss: Annotated[bool, typer.Option(help="take what Kafka lost for good; kept with your name")] = False,
    by: Annotated[str, typer.Option(help="who accepts it; default: this machine's user")] = "",
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the answer", min=1)] = 600.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Say where raw stands in each partition, and what Kafka no longer has of it; exit 7 while something is missing.

    Positions are read from raw's own commits, so a deleted checkpoint needs nothing. A topic that lost records, or was
    made anew, is not read until --accept-loss. Example: caudal recover checkpoint -o json
    """
    from caudal import log, settings
    from streaming.ask import ask

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "recover")
    found = ask(loaded, "recover", {"accept": accept_loss, "by": by or getpass.getuser()}, wait)

    def page() -> str:
        names = ("topic", "partition", "raw", "low", "high")
        parts = [table(names, [tuple(one[name] for name in names) for one in found["positions"]])]
        for title in ("gaps", "accepted"):
            parts += [
                f"{title}: {gap['topic']}/{gap['partition']} from {gap['first']} ({gap['why']})" for gap in found[title]
            ]
        return "\n".join(parts)

    emit(found, output, page)
    if found["gaps"]:
        say("CDL-DATA-LOSS: Kafka no longer has records that raw has not read")
        next_step("caudal recover checkpoint --accept-loss")
        raise typer.Exit(Exit.INVARIANT)
    next_step("caudal verify")
