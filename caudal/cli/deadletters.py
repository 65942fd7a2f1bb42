"""`caudal deadletters`: what silver refused, why, what is known of it, and its healing. Values are never shown."""

from __future__ import annotations

import getpass
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import UsageError

if TYPE_CHECKING:
    from streaming.letters import Wanted

app = typer.Typer(help="See what silver refused and why, and heal it.", no_args_is_help=True)

ContractOption = Annotated[str | None, typer.Option("--contract", help="of this contract", show_default=False)]
CodeOption = Annotated[str | None, typer.Option("--code", help="with this code", show_default=False)]
PathOption = Annotated[str | None, typer.Option("--path", help="at this field", show_default=False)]
HoursOption = Annotated[float | None, typer.Option("--hours", help="of the last hours", show_default=False)]


@app.callback()
def group() -> None:
    """See what silver refused and why, and heal it."""


@app.command("list")
def list_(
    contract: ContractOption = None,
    code: CodeOption = None,
    path: PathOption = None,
    hours: HoursOption = None,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Count them by contract, code and path. Example: caudal deadletters list --hours 24"""
    from caudal import settings
    from caudal.lake import Lake
    from streaming import letters

    found = letters.groups(Lake.open(settings.load({"data_dir": data})), _wanted(contract, code, path, hours))
    heads = ("contract", "code", "path", "open", "resolved", "first", "last")
    emit({"groups": found}, output, lambda: table(heads, ([_cell(g[name]) for name in heads] for g in found)))
    next_step(f"caudal deadletters show --code {found[0]['code']}" if found else "caudal status")


@app.command()
def show(
    contract: ContractOption = None,
    code: CodeOption = None,
    path: PathOption = None,
    hours: HoursOption = None,
    limit: Annotated[int, typer.Option(help="at most so many, newest first", min=1, max=10_000)] = 20,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Show the newest with their coordinates. Example: caudal deadletters show --code CDL-GARBAGE --limit 5"""
    from caudal import settings
    from caudal.lake import Lake
    from streaming import letters

    found = letters.listed(Lake.open(settings.load({"data_dir": data})), _wanted(contract, code, path, hours), limit)
    rows = [{"at_coordinates": f"{r['topic']}:{r['partition']}:{r['offset']}", **r} for r in found]
    heads = ("at_coordinates", "code", "path", "at", "schema_id", "contract_version", "resolution")
    emit({"dead_letters": rows}, output, lambda: table(heads, ([_cell(r[name]) for name in heads] for r in rows)))
    next_step(f"caudal deadletters explain {rows[0]['at_coordinates']}" if rows else "caudal deadletters list")


@app.command()
def explain(
    coordinates: Annotated[str, typer.Argument(help="topic:partition:offset, as `show` prints them")],
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Tell all that is known of one. Example: caudal deadletters explain commerce.order:0:42"""
    from caudal import settings
    from caudal.lake import Lake
    from schemas.load import load_catalog
    from streaming import letters

    loaded = settings.load({"data_dir": data})
    found = letters.explained(Lake.open(loaded), load_catalog(loaded.contracts_dir), *_place(coordinates))
    found["runbook"] = f"{loaded.alerts.runbook}#{found['letter']['code'].lower()}"
    emit(found, output, lambda: table(("what", "value"), _facts(found)))
    next_step(f"caudal contract show {found['letter']['contract']}")


@app.command()
def replay(
    contract: Annotated[str, typer.Option("--contract", help="of this contract")],
    code: CodeOption = None,
    path: PathOption = None,
    hours: HoursOption = None,
    at: Annotated[
        str | None, typer.Option("--at", help="the one at topic:partition:offset", show_default=False)
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", help="changes to make first (YAML, see docs/dead-letters.md)", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would become of them, change nothing")] = False,
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the answer", min=1)] = 600.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Decide them again, with fixes or after the contract changed.

    Example: caudal deadletters replay --contract commerce.order --code CDL-RULE-NEG_TOTAL --fix fixes.yml --dry-run
    """
    from caudal import log, settings
    from streaming.ask import ask

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "replay")
    where = {"code": code, "path": path, "at": ":".join(map(str, _place(at))) if at else None}
    since = None if hours is None else datetime.fromtimestamp(time.time() - hours * 3600, UTC).isoformat()
    arguments = {
        "contract": contract,
        "where": {name: value for name, value in {**where, "since": since}.items() if value is not None},
        "fixes": _fixes(fix),
        "dry_run": dry_run,
        "by": getpass.getuser(),
    }
    say("replaying dead letters" + (" (nothing is written)" if dry_run else ""))
    found = ask(loaded, "replay", arguments, wait)
    emit({"dry_run": dry_run, **found}, output, lambda: _replayed(found))
    if dry_run and found["letters"] > found["refused"]:
        next_step("the same without --dry-run")
    else:
        next_step("caudal verify" if found["applied"] else "caudal deadletters list")


def _fixes(file: Path | None) -> list[dict[str, Any]]:
    """The fixes of a file as JSON can carry them; what is wrong with them is said before anybody is asked."""
    import yaml

    from streaming import fixes

    if file is None:
        return []
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError("the fixes cannot be read", where=str(file), why=type(error).__name__) from error
    return [fix.plain() for fix in fixes.parsed(document)]


def _replayed(found: dict[str, Any]) -> str:
    heads = ("code", "path", "becomes", "at", "records")
    counts = ", ".join(f"{name} {found[name]}" for name in ("letters", "applied", "duplicate", "superseded", "refused"))
    return "\n".join([table(heads, ([_cell(kind[h]) for h in heads] for kind in found["kinds"])), "", counts])


def _wanted(contract: str | None, code: str | None, path: str | None, hours: float | None) -> Wanted:
    from streaming.letters import Wanted

    since = None if hours is None else datetime.fromtimestamp(time.time() - hours * 3600, UTC)
    return Wanted(contract, code, path, since)


def _place(coordinates: str) -> tuple[str, int, int]:
    topic, _, rest = coordinates.partition(":")
    partition, _, offset = rest.partition(":")
    if not (topic and partition.isdecimal() and offset.isdecimal()):
        raise UsageError("these are no coordinates", fix="write topic:partition:offset, like commerce.order:0:42")
    return topic, int(partition), int(offset)


def _facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """One line for each fact; parts of a part are named by both."""
    lines: list[tuple[str, str]] = []
    for part, facts in found.items():
        if isinstance(facts, dict):
            lines += [(f"{part} {name}", _cell(value)) for name, value in facts.items()]
        else:
            lines.append((part, _cell(facts)))
    return lines


def _cell(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return "-" if value is None else str(value)
