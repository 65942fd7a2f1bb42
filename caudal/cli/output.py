"""How every verb speaks: data on standard output, talk on standard error, errors with facts and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from caudal.errors import CaudalError

# Grows by one when a field of any verb's JSON is renamed or removed.
SCHEMA_VERSION = 1


class Output(StrEnum):
    """Shape of a verb's answer."""

    human = "human"
    json = "json"


OutputOption = Annotated[Output, typer.Option("-o", "--output", help="human or json", show_default=True)]
DataOption = Annotated[str | None, typer.Option("--data", help="data folder of the install", show_default=".caudal")]


def emit(data: Mapping[str, Any], output: Output, human: Callable[[], str]) -> None:
    """Print the answer: one JSON line, or what `human` returns."""
    if output is Output.json:
        typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **data}, default=str))
    else:
        typer.echo(human())


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as aligned columns, for people and for grep."""
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join(lines)


def say(text: str) -> None:
    """Talk to the person: standard error, never part of the data."""
    # Not `typer.echo`: it writes past the stream that a live table puts in the place of standard error.
    print(text, file=sys.stderr, flush=True)


def next_step(command: str) -> None:
    """The next useful command."""
    say(f"Next: {command}")


def fail(error: CaudalError, output: Output) -> int:
    """Report an error the way the verb reports everything, and return its exit code."""
    if output is Output.json:
        typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, "ok": False, "error": error.facts()}))
    else:
        for label in ("why", "where", "fix"):
            value = getattr(error, label)
            if value:
                say(f"  {label}: {value}")
        say(f"{error.code}: {error.what}")
    return int(error.exit_code)


def wanted(argv: Sequence[str]) -> Output:
    """The output that the command line asks for, read before it is parsed, for errors of any verb."""
    for index, argument in enumerate(argv):
        if argument in ("-o", "--output") and index + 1 < len(argv) and argv[index + 1] == "json":
            return Output.json
        if argument in ("-ojson", "--output=json"):
            return Output.json
    return Output.human


def is_terminal() -> bool:
    """Whether a person watches standard error."""
    return sys.stderr.isatty()
