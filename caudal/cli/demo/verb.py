"""`caudal demo`: start everything, play real input, watch it travel."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption

app = typer.Typer()


class LakeKind(StrEnum):
    """Where the lake lies."""

    local = "local"
    s3 = "s3"


class FaultName(StrEnum):
    """Faults that can be played."""

    schema = "schema"
    late = "late"
    dup = "dup"
    broker = "broker"
    pii = "pii"


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="until every stage has delivered; verify, stop, exit 0")] = False,
    minutes: Annotated[float | None, typer.Option(help="play this long, then verify and stop")] = None,
    fault: Annotated[
        list[FaultName] | None, typer.Option("--break", help="inject this fault, show its recovery; may be repeated")
    ] = None,
    lake: Annotated[LakeKind | None, typer.Option(help="a folder, or a real S3 server")] = None,
    rate: Annotated[float, typer.Option(help="speed of the simulators; 1 is about 200 events/s")] = 1.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Start everything and play shop orders, payments and product events until Ctrl-C.

    Examples: caudal demo · caudal demo --once -o json · caudal demo --break schema · caudal demo --lake s3
    """
    from caudal.cli.demo.run import Options, play

    raise typer.Exit(
        play(
            Options(
                once=once,
                minutes=minutes,
                faults=tuple(one.value for one in fault or ()),
                lake=lake.value if lake else None,
                rate=rate,
                data=data,
            ),
            output,
        )
    )
