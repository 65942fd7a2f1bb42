"""How the platform's verbs look: tables for people, one line for logs, a live picture on a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from caudal.cli.output import is_terminal, say, table

if TYPE_CHECKING:
    from caudal.local.doctor import Finding
    from caudal.local.supervisor import Supervisor
    from caudal.settings import Settings

# A line for a log every five seconds, a picture for a person once a second.
LINE_S = 5.0
PICTURE_S = 1.0


def watch(supervisor: Supervisor) -> None:
    """Until the stop: a live picture on a terminal, else one line every few seconds."""
    from caudal.local.status import stages
    from caudal.metrics import read_all

    folder = supervisor.settings.run_dir / "metrics"
    before = read_all(folder)
    with _picture() as show:
        while not supervisor.wait(PICTURE_S if show else LINE_S):
            now = read_all(folder)
            found = stages(before, now)
            before = now
            if show:
                show(f"{_stage_table(found)}\n\n{_states(supervisor)}")
            else:
                say(_line(found, supervisor))


@contextlib.contextmanager
def _picture() -> Iterator[Any]:
    """A function that redraws the screen, or None where nobody watches."""
    if not is_terminal():
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda text: live.update(Text(text), refresh=True)


def _line(found: Sequence[dict[str, Any]], supervisor: Supervisor) -> str:
    moved = [f"{s['stage']} {s['rows']:,} ({s['rows_per_s']:,.0f}/s{_age(s)})" for s in found if s["rows"]]
    waiting = [s.name for s in supervisor.states() if s.state != "ready"]
    parts = [*(moved or ["no rows yet"]), *([f"waiting for {', '.join(waiting)}"] if waiting else [])]
    return " | ".join(parts)


def _age(stage: dict[str, Any]) -> str:
    return "" if stage["p95_age_s"] is None else f", p95 {stage['p95_age_s']:.1f} s"


def _stage_table(found: Sequence[dict[str, Any]]) -> str:
    cells = [
        (
            s["stage"],
            f"{s['rows']:,}",
            f"{s['rows_per_s']:,.0f}",
            f"{s['lag']:,}",
            "-" if s["p95_age_s"] is None else f"{s['p95_age_s']:.1f} s",
            f"{s['rejects']:,}",
        )
        for s in found
    ]
    return table(("stage", "rows", "rows/s", "lag", "P95 age", "rejects"), cells)


def _states(supervisor: Supervisor) -> str:
    used = supervisor.memory.now
    rows = [(s.name, s.state, s.restarts, _mib(used.get(s.name)), s.url) for s in supervisor.states()]
    return table(("process", "state", "restarts", "MiB", "at"), rows)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:,.0f}" if isinstance(value, float) else str(value)


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _mib(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def entrance(settings: Settings) -> str:
    """The dashboard's address with a new one-time token."""
    from caudal import tokens

    store = tokens.open_store(settings.data_dir)
    try:
        token = store.issue("operator", once=True, lifetime_s=86_400)
    finally:
        store.close()
    return f"http://{settings.web.host}:{settings.web.port}/?token={token}"


def urls(found: dict[str, str]) -> str:
    """Where each process can be reached."""
    return table(("what", "where"), found.items())


def status(found: dict[str, Any]) -> str:
    """The answer of `caudal status` as tables."""
    return "\n\n".join(_pages(found))


def _pages(found: dict[str, Any]) -> Iterator[str]:
    yield f"{'running' if found['running'] else 'stopped'}: {found['data']}  lake: {found['lake']}"
    if found["processes"]:
        names = ("name", "state", "pid", "restarts", "memory_mib", "peak_mib", "url")
        rows = [tuple(_cell(p[name]) for name in names) for p in found["processes"]]
        yield table(("process", "state", "pid", "restarts", "MiB", "peak", "at"), rows)
    yield _stage_table(found["stages"])
    if found["backlog"] and found["backlog"]["records"]:
        left = found["backlog"]
        end = "no end in sight" if left["eta_s"] is None else f"done in {left['eta_s']:,.0f} s"
        yield f"backlog: {left['records']:,} records, {left['records_per_s']:,.0f}/s, {end}"
    if found["freshness"]:
        said = ("contract", "valid through", "age s", "promised s", "kept 1 h", "kept 24 h", "burn 1 h", "burn 24 h")
        yield table(said, [_fresh(row) for row in found["freshness"]])
    if found["tables"]:
        made_of = ("table", "files", "small_files", "bytes", "deleted_ratio", "log_versions", "care_runs", "care_files")
        said = ("table", "files", "small", "bytes", "deleted", "versions", "care runs", "files saved")
        yield table(said, [tuple(row[name] for name in made_of) for row in found["tables"]])
    if found["breakers"]:
        open_or_not = [(b["component"], b["host"], b["state"]) for b in found["breakers"]]
        yield table(("breaker of", "host", "state"), open_or_not)
    if found["alerts"]:
        alarms = [
            (time.strftime("%H:%M:%S", time.localtime(a["at"])), a["code"], a["summary"]) for a in found["alerts"]
        ]
        yield table(("at", "alarm", "what"), alarms)


def _fresh(row: dict[str, Any]) -> tuple[str, ...]:
    through = "-" if row["valid_through"] is None else _clock(row["valid_through"])
    age = "-" if row["age_s"] is None else f"{row['age_s']:,.1f}"
    promise = "-" if row["promise_s"] is None else f"{row['promise_s']:,.0f}"
    kept = ["-" if row[name] is None else f"{row[name]:.1%}" for name in ("kept_1h", "kept_24h")]
    burn = ["-" if row[name] is None else f"{row[name]:.1f}" for name in ("burn_rate_1h", "burn_rate_24h")]
    return (row["contract"], through, age, promise, *kept, *burn)


def checks(findings: Sequence[Finding]) -> str:
    """One line for each check, then one fix for each that is not fine."""
    marks = {"ok": "ok", "warning": "! warning", "failed": "x failed"}
    rows = [(marks[f.level], f.check, f.found) for f in findings]
    fixes = [f"{f.check}: {f.fix}" for f in findings if f.fix]
    return table(("", "check", "found"), rows) + ("\n\n" + "\n".join(fixes) if fixes else "")
