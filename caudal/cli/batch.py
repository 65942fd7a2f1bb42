"""`caudal batch`: one cycle by hand, as separate steps that any orchestrator can call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, table
from caudal.errors import Exit, UsageError

if TYPE_CHECKING:
    from batch.record import Record

app = typer.Typer(help="Plan, build and publish gold.", no_args_is_help=True)
GroupOption = Annotated[str, typer.Option("--group", help="live, full or all")]


@app.callback()
def group() -> None:
    """Plan, build and publish gold. A running batch process does all of it by itself."""


@app.command()
def plan(
    detailed_exitcode: Annotated[bool, typer.Option(help="exit 10 when something is behind")] = False,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Show which publish groups are behind silver. Example: caudal batch plan -o json"""
    from batch import verbs
    from caudal import settings

    found = verbs.due(settings.load({"data_dir": data}))
    rows = [{"group": one.group, "why": one.why} for one in found]
    emit({"due": rows}, output, lambda: table(("group", "why"), ((r["group"], r["why"]) for r in rows)))
    if found:
        next_step("caudal batch build")
        if detailed_exitcode:
            raise typer.Exit(int(Exit.PENDING))


@app.command()
def build(
    group: GroupOption = "all",
    full_refresh: Annotated[bool, typer.Option(help="build anew instead of merging an increment")] = False,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Build and test the marts without publishing them; exit 5 when the gate fails. Example: caudal batch build"""
    from batch import verbs
    from caudal import log, settings

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "batch")
    _show(verbs.build(loaded, _groups(group), full_refresh=full_refresh), output)
    next_step("caudal batch publish")


@app.command()
def publish(group: GroupOption = "all", data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Let readers see what `build` made; exit 5 unless its gate passed. Example: caudal batch publish --group live"""
    from batch import verbs
    from caudal import settings

    _show(verbs.publish(settings.load({"data_dir": data}), _groups(group)), output)
    next_step("caudal verify")


@app.command()
def staging(
    folder: Annotated[str, typer.Argument(help="models/staging of a dbt project")] = "dbt/models/staging",
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Write dbt's sources and staging models from the contracts. Example: caudal batch staging"""
    from pathlib import Path

    from batch import verbs
    from caudal import settings

    changed = verbs.write_staging(Path(folder), settings.load({"data_dir": data}))
    emit({"changed": list(changed)}, output, lambda: "\n".join(changed) or "nothing changed")


def _groups(group: str) -> tuple[str, ...]:
    known = ("live", "full")
    if group != "all" and group not in known:
        raise UsageError(f"there is no publish group {group!r}", fix="one of live, full, all")
    return known if group == "all" else (group,)


def _show(records: tuple[Record, ...], output: Output) -> None:
    listed: list[dict[str, Any]] = [
        {
            "cycle": record.cycle,
            "group": record.group,
            "state": record.state,
            "silver_versions": dict(record.silver_versions),
            "tables": {mart: {"version": built.version, "rows": built.rows} for mart, built in record.tables.items()},
            "checks": dict(record.tests),
            "seconds": dict(record.seconds),
        }
        for record in records
    ]
    rows = [(r.group, mart, built.version, built.rows, r.state) for r in records for mart, built in r.tables.items()]
    emit({"cycles": listed}, output, lambda: table(("group", "mart", "version", "rows", "state"), rows))
