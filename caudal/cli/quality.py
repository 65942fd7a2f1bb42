"""`caudal quality`: the checks of gold, run by hand or as the last cycles saw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, table
from caudal.errors import Exit

app = typer.Typer(help="Check what is published.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Check what is published."""


@app.command()
def run(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Run all checks on published gold; exit 5 when a critical one fails. Example: caudal quality run -o json"""
    from batch import verbs
    from caudal import log, settings

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "quality")
    _show([asdict(result) for result in verbs.check(loaded)], output)


@app.command()
def report(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Show what the latest cycle of each group found; exit 5 when a critical check failed."""
    from caudal import settings
    from caudal.lake import Lake
    from quality import results
    from quality.marts import GROUPS

    lake = Lake.open(settings.load({"data_dir": data}))
    found = [results.latest(lake, group) for group in GROUPS]
    _show([result for document in found if document for result in document["results"]], output)


def _show(found: Iterable[Mapping[str, Any]], output: Output) -> None:
    listed = [dict(result) for result in found]
    ok = not any(not result["ok"] and result["severity"] == "critical" for result in listed)
    rows = [
        (f"{r['layer']}.{r['table']}", r["code"], "ok" if r["ok"] else r["severity"], r["checked"], r["failing"])
        for r in sorted(listed, key=lambda r: (r["ok"], r["layer"], r["table"]))
    ]
    emit({"ok": ok, "results": listed}, output, lambda: table(("table", "check", "verdict", "rows", "failing"), rows))
    if not ok:
        raise typer.Exit(int(Exit.QUALITY))
