"""`caudal plan`: what an apply of a changed contract would touch, and what it would do to the newest real records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.contract_diff import compared
from caudal.cli.contract_source import ContractsOption, catalog_of, one_of, released_by, settings_of
from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import Exit

if TYPE_CHECKING:
    from caudal.settings import Settings
    from schemas.contract import Contract

app = typer.Typer()


@app.command()
def plan(
    name: Annotated[str, typer.Argument(help="id of the contract")],
    records: Annotated[int, typer.Option(help="newest raw records to judge; 0 for none", min=0)] = 10_000,
    data: DataOption = None,
    contracts: ContractsOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Show what an apply would change, what depends on it, and what it would do to records that are there.

    Exit 10 when something is pending, 4 when it would be refused. Example: caudal plan commerce.order --records 50000
    """
    import schemas
    from batch.project import source_dir
    from batch.settings import BatchSettings
    from caudal import log
    from schemas.diff import diff
    from schemas.touched import touched

    settings = settings_of(data, contracts)
    log.setup(settings, "plan")
    contract = one_of(catalog_of(settings), name)
    before = released_by(settings).get(name)
    found = diff(before, contract)
    dbt = source_dir(settings.section("batch", BatchSettings))
    depends = touched(dbt, Path(schemas.__file__).parent / "features", contract, found)
    effect = _effect(settings, before, contract, records) if records and found.verdict != "none" else None
    answer = {
        "contract": name,
        "verdict": found.verdict,
        "changes": [change.record() for change in found.changes],
        "findings": [finding.record() for finding in found.findings],
        "touches": depends,
        "effect": effect,
    }
    emit(answer, output, lambda: "\n".join([compared(found), *_depends(depends), *_told(effect)]))
    next_step(f"caudal contract apply {name}" if found.verdict == "pending" else f"caudal contract lint {name}")
    if found.verdict != "none":
        raise typer.Exit(Exit.CONTRACT if found.verdict == "breaking" else Exit.PENDING)


def _effect(settings: Settings, before: Contract | None, after: Contract, records: int) -> dict[str, Any] | None:
    """In a Spark session of its own; None before the first batch."""
    from caudal.lake import Lake
    from streaming import session
    from streaming.effect import effect
    from streaming.settings import StreamingSettings
    from streaming.tables import RAW, RAW_SCHEMAS

    lake = Lake.open(settings)
    if not (lake.has_table(*RAW) and lake.has_table(*RAW_SCHEMAS)):
        return None
    say(f"judging the newest {records:,} records of {after.topic} under both forms")
    spark = session.start(settings)
    try:
        own = settings.section("streaming", StreamingSettings)
        return effect(spark, lake, before, after, own, records)
    finally:
        spark.stop()


def _depends(depends: dict[str, list[str]]) -> list[str]:
    return [f"{what}: {', '.join(names)}" for what, names in depends.items() if names]


def _told(effect: dict[str, Any] | None) -> list[str]:
    if effect is None or not effect["records"]:
        return ["effect: no record was judged"]
    share = [100 * effect[name] / effect["records"] for name in ("refused_now", "refused_then")]
    said = f"effect on {effect['records']:,} records: {share[0]:.2f} % are refused now, {share[1]:.2f} % would be"
    heads = ("now", "now_at", "then", "then_at", "records")
    rows = [[one[head] if one[head] is not None else "fine" for head in heads] for one in effect["changes"]]
    return [said, table(heads, rows)] if rows else [said]
