"""`caudal up | down | status | logs | doctor`: the platform on this machine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from caudal.cli import platform_view as view
from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import Exit, UsageError

if TYPE_CHECKING:
    from caudal.settings import Settings

app = typer.Typer()


ALL_STAGES = "streaming,batch,scorer,web,sealer"


class LakeKind(StrEnum):
    """Where the lake of an install on this machine lies."""

    local = "local"
    s3 = "s3"


@app.command()
def up(
    data: DataOption = None,
    lake: Annotated[LakeKind | None, typer.Option("--lake", help="a local folder, or a real S3 server")] = None,
    stages: Annotated[str, typer.Option(help="which stages, with commas between; none: servers only")] = ALL_STAGES,
    with_: Annotated[
        list[str] | None, typer.Option("--with", help="what is off by default: warehouse; repeatable")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="leave it running and return once it is up")] = False,
    output: OutputOption = Output.human,
) -> None:
    """Start broker, registry, feature store and all stages, and keep them running until Ctrl-C.

    Examples:  caudal up  ·  caudal up --lake s3 --data /tmp/lake  ·  caudal up --detach --stages streaming,web
    ·  caudal up --with warehouse
    """
    from caudal import log
    from caudal.local.plan import local_plan
    from caudal.local.supervisor import Supervisor

    settings, names, extras = _settings(data), _stages(stages), _extras(with_ or [])
    if detach:
        _detached(settings, lake, stages, extras, output)
        return
    log.setup(settings, "supervisor")
    plan = local_plan(settings, lake=lake.value if lake else None, stages=names, extras=extras)
    supervisor = Supervisor(settings, plan, say=say)
    with supervisor.signals(), supervisor:
        if not supervisor.start():
            return
        urls = supervisor.urls()
        emit({"ok": True, "urls": urls, "data": str(supervisor.settings.data_dir)}, output, lambda: view.urls(urls))
        say(f"Dashboard: {view.entrance(supervisor.settings)}  (works once)")
        next_step("caudal status  ·  caudal demo plays real input into it")
        view.watch(supervisor)


@app.command()
def down(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Stop the install of this data folder; no process of it is left.

    Examples:  caudal down  ·  caudal down --data /tmp/lake -o json
    """
    from caudal.local.down import down as stop

    stopped = stop(_settings(data), say=say)
    if stopped.supervisor is None and not stopped.left_behind:
        emit({"ok": True, "was_running": False}, output, lambda: "nothing was running")
        return
    answer = {"ok": True, "was_running": True, **asdict(stopped)}
    emit(answer, output, lambda: f"stopped{' (its supervisor had to be killed)' if stopped.killed else ''}")
    if stopped.left_behind:
        say(f"ended left-behind processes: {', '.join(stopped.left_behind)}")


@app.command()
def status(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Processes, ports, memory, rows/s, lag and age by stage, circuit breakers and alarms.

    Exit code 6 when nothing runs on this data folder.
    """
    from caudal.local.status import status as ask

    found = ask(_settings(data))
    emit(found, output, lambda: view.status(found))
    if not found["running"]:
        next_step("caudal up")
        raise typer.Exit(Exit.UNREACHABLE)


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="a process; without it: which there are")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on as lines come, until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="how many of the last lines")] = 50,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Show what a process has logged.

    Examples:  caudal logs  ·  caudal logs streaming -f  ·  caudal logs kafka -n 200
    """
    from caudal.local.logs import follow as new_lines
    from caudal.local.logs import tail

    folder = _settings(data).data_dir / "logs"
    known = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if name is None:
        shown = [{"name": n, "bytes": p.stat().st_size, "file": str(p)} for n, p in known.items()]
        emit({"logs": shown}, output, lambda: table(("process", "bytes", "file"), [tuple(s.values()) for s in shown]))
        next_step("caudal logs <process> -f")
        return
    if name not in known:
        raise UsageError(
            f"there is no log of {name!r}", where=str(folder), fix=f"one of {', '.join(known) or 'none yet'}"
        )
    found = tail(known[name], lines)
    emit({"name": name, "lines": found}, output, lambda: "\n".join(found))
    with contextlib.suppress(KeyboardInterrupt):
        for line in new_lines(known[name], _pause) if follow else ():
            typer.echo(line)


@app.command()
def doctor(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Check this machine: Java, jars, Python, versions, ports, memory, disk; one fix for each thing that is wrong.

    Exit code 3 when something will not work; warnings do not count.
    """
    from caudal.local.doctor import examine

    findings = examine(_settings(data))
    bad = [f for f in findings if f.level == "failed"]
    emit({"ok": not bad, "checks": [asdict(f) for f in findings]}, output, lambda: view.checks(findings))
    if bad:
        raise typer.Exit(Exit.CONFIGURATION)
    next_step("caudal demo")


def _settings(data: str | None) -> Settings:
    from caudal.settings import load

    return load({"data_dir": data})


def _stages(text: str) -> list[str]:
    """The stages of an option's text, in the order in which they start."""
    from caudal.local.plan import STAGES

    asked = [] if text == "none" else [name.strip() for name in text.split(",")]
    unknown = [name for name in asked if name not in STAGES]
    if unknown:
        raise UsageError(
            f"there is no stage {unknown[0]!r}", where="--stages", fix=f"some of {','.join(STAGES)}, or none"
        )
    return [name for name in STAGES if name in asked]


def _extras(names: list[str]) -> list[str]:
    from caudal.local.plan import EXTRAS

    unknown = [name for name in names if name not in EXTRAS]
    if unknown:
        raise UsageError(f"there is no {unknown[0]!r} to start", where="--with", fix=f"some of {', '.join(EXTRAS)}")
    return [name for name in EXTRAS if name in names]


def _detached(settings: Settings, lake: LakeKind | None, stages: str, extras: list[str], output: Output) -> None:
    """Start the supervisor as a process of its own and wait until it is up, or has given up."""
    from caudal.errors import CaudalError
    from caudal.lease import holder
    from caudal.local import record
    from caudal.local.logs import tail

    folder = settings.data_dir.resolve()
    log = folder / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "caudal.cli.main", "up", "--data", str(folder), "--stages", stages]
    command += ["--lake", lake.value] if lake else []
    command += [word for name in extras for word in ("--with", name)]
    with log.open("ab") as out:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    while not _is_up(settings, started.pid):
        if started.poll() is not None:
            raise CaudalError(
                "the platform did not come up",
                where=str(log),
                why="\n".join(tail(log, 6)),
                fix="run `caudal up` without --detach, or `caudal doctor`",
                code="CDL-START",
            )
        time.sleep(0.3)
    running = holder(settings.run_dir / record.LEASE)
    urls: dict[str, str] = record.read(settings.run_dir / "endpoints.json").get("urls", {})
    emit({"ok": True, "supervisor": running.pid if running else None, "urls": urls}, output, lambda: view.urls(urls))
    next_step("caudal status  ·  caudal down stops it")


def _is_up(settings: Settings, pid: int) -> bool:
    from caudal.metrics import read_all

    return any(s.process == "supervisor" and s.pid == pid and s.ready for s in read_all(settings.run_dir / "metrics"))


def _pause() -> bool:
    time.sleep(0.3)
    return True
