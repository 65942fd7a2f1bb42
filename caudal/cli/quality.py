"""`caudal quality`: the checks of gold, what they said over time, whether promises were kept, what is unusual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import Exit

app = typer.Typer(help="Checks, service level and anomalies.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Checks, service level and anomalies."""


@app.command()
def run(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Run all checks on published gold; exit 5 when a critical one fails. Example: caudal quality run -o json"""
    from batch import verbs
    from caudal import log, settings

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "quality")
    found = [result.record() for result in verbs.check(loaded)]
    ok = _passed(found)
    emit({"ok": ok, "results": found}, output, lambda: _checks(found))
    next_step("caudal quality report")
    if not ok:
        raise typer.Exit(int(Exit.QUALITY))


@app.command()
def report(
    date: Annotated[str | None, typer.Option("--date", help="a day or a month in UTC", show_default="today")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the pages", show_default="<data>/reports")] = None,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Checks and service level of a day or month, also as two pages that need no network, and the level as PDF.

    Exit 5 when a critical check failed at its last run. Example: caudal quality report --date 2026-11 -o json
    """
    from batch.project import source_dir
    from batch.settings import BatchSettings
    from caudal import settings
    from caudal.clock import SystemClock
    from caudal.lake import Lake
    from quality import marts, reports
    from quality.settings import QualitySettings

    loaded = settings.load({"data_dir": data})
    now = SystemClock().now()
    period = reports.Period.parse(date or now.date().isoformat())
    lake = Lake.open(loaded)
    declared = marts.read(source_dir(loaded.section("batch", BatchSettings)))
    level = reports.service_level(lake, period, declared, loaded.section("quality", QualitySettings).objective, now)
    found = reports.last_runs(lake, period)
    folder = out or loaded.data_dir / "reports"
    folder.mkdir(parents=True, exist_ok=True)
    pages = reports.written(lake, period, level, now)
    for name, content in pages.items():
        (folder / name).write_bytes(content)
    ok = _passed(found)
    written = [str(folder / name) for name in pages]
    answer = {"ok": ok, "period": period.name, "results": found, "service": level.record(), "pages": written}
    emit(answer, output, lambda: _report(found, level.record()))
    for name in pages:
        say(f"Page: {folder / name}")
    next_step("caudal quality anomalies")
    if not ok:
        raise typer.Exit(int(Exit.QUALITY))


@app.command()
def anomalies(
    evaluate: Annotated[bool, typer.Option(help="measure recall and false alarms on generated series")] = False,
    series: Annotated[int, typer.Option(min=1, help="with --evaluate: generated tables")] = 40,
    weeks: Annotated[int, typer.Option(min=8, help="with --evaluate: length of each series")] = 26,
    seed: Annotated[int, typer.Option(help="with --evaluate: seed")] = 7,
    hours: Annotated[int, typer.Option(min=1, help="how far back to look")] = 24,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """What is not as usual in silver. Example: caudal quality anomalies --evaluate -o json"""
    from caudal import settings
    from caudal.clock import SystemClock
    from caudal.lake import Lake
    from quality.anomalies import watch
    from quality.anomalies.evaluate import evaluate as measure
    from quality.settings import QualitySettings
    from schemas.load import load_catalog

    if evaluate:
        answer = measure(series, weeks, seed)
        emit(answer, output, lambda: table(("figure", "value"), answer.items()))
        next_step("caudal quality anomalies")
        return
    loaded = settings.load({"data_dir": data})
    contracts = load_catalog(loaded.contracts_dir).values()
    holidays = loaded.section("quality", QualitySettings).holidays
    found, looked = watch.look(Lake.open(loaded), contracts, SystemClock().now(), holidays, hours)
    listed = [{**asdict(one), "began": one.began} for one in found]
    rows = [(one.table, one.signal, one.began, f"{one.score:+.1f}", f"{one.observed:.4g}") for one in found]
    emit(
        {"anomalies": listed, "series": looked},
        output,
        lambda: table(("table", "signal", "began", "deviations", "observed"), rows),
    )
    next_step("caudal quality report")


def _passed(found: Iterable[Mapping[str, Any]]) -> bool:
    return not any(not one["ok"] and one["severity"] == "critical" for one in found)


def _checks(found: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (f"{r['layer']}.{r['table']}", r["code"], "ok" if r["ok"] else r["severity"], r["checked"], r["failing"])
        for r in sorted(found, key=lambda r: (r["ok"], r["layer"], r["table"]))
    ]
    return table(("table", "check", "verdict", "rows", "failing"), rows)


def _report(found: Iterable[Mapping[str, Any]], level: Mapping[str, Any]) -> str:
    checks = [
        (f"{r['layer']}.{r['table']}", r["code"], "ok" if r["ok"] else r["severity"], r["runs"], r["failed"])
        for r in sorted(found, key=lambda r: (r["ok"], r["layer"], r["table"]))
    ]
    parts = [
        (a["component"], a["availability"], a["burn_rate"], int(a["watched_minutes"])) for a in level["availability"]
    ]
    return "\n\n".join(
        (
            table(("table", "check", "verdict", "runs", "failed"), checks),
            table(("part", "availability", "burn rate", "minutes"), parts),
        )
    )
