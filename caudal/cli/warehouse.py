"""`caudal warehouse`: published gold in PostgreSQL, its logins, and the proof of both."""

from __future__ import annotations

import signal
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import Exit, UsageError

if TYPE_CHECKING:
    from caudal.settings import Settings
    from serving.warehouse.plan import Declared

app = typer.Typer(help="Published gold in PostgreSQL, for BI tools.", no_args_is_help=True)
login = typer.Typer(help="Logins of BI tools: each sees the rows of one tenant.", no_args_is_help=True)
app.add_typer(login, name="login")

NameArgument = Annotated[
    str, typer.Argument(help="of the login: small letters, digits, underscores; all logins see it")
]


@app.callback()
def group() -> None:
    """Published gold in PostgreSQL, for BI tools."""


@app.command()
def publish(
    whole: Annotated[bool, typer.Option("--whole", help="copy every mart anew, not only what changed")] = False,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Copy what gold has published since the last time, in one transaction. Idempotent.

    Exit 3 without an address, 6 when PostgreSQL does not answer or somebody else publishes, 7 when a copy is not what
    the lake holds (nothing is published then). Example: caudal warehouse publish -o json
    """
    from serving.warehouse import app as warehouse

    settings = _settings(data)
    report = warehouse.once(settings, declared(settings), whole=whole)
    rows = [(c.mart, c.how, c.rows, c.gone, c.came, c.seconds) for c in report.copied]
    emit(
        {"ok": True, **asdict(report)},
        output,
        lambda: table(("mart", "how", "rows", "out", "in", "seconds"), rows) if rows else "nothing has changed",
    )
    if report.undeclared:
        say(f"left out, because no YAML declares them: {', '.join(report.undeclared)}")
    next_step("caudal warehouse status")


@app.command()
def status(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """What PostgreSQL shows: version and age of each mart, and whether gold is further.

    Exit 3 without an address, 6 when PostgreSQL does not answer, 10 when a newer manifest waits.
    Example: caudal warehouse status -o json
    """
    from serving.warehouse.status import status as ask

    found = ask(_settings(data))
    rows = [(m.mart, m.group, m.version, m.rows, f"{m.age_s:.0f}") for m in found.marts]
    emit(
        {"ok": True, **asdict(found), "behind": found.behind},
        output,
        lambda: table(("mart", "group", "version", "rows", "age s"), rows),
    )
    next_step("caudal warehouse publish" if found.behind else "caudal warehouse verify")
    if found.behind:
        raise typer.Exit(Exit.PENDING)


@app.command()
def verify(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Prove that every mart is what the lake holds, and that a login sees its tenant's rows and no others.

    Exit 7 when either does not hold, or nothing was there to examine. Example: caudal warehouse verify -o json
    """
    from serving.warehouse.verify import prove

    checks = prove(_settings(data))
    # what was not examined is not proved
    ok = all(check.ok and check.examined for check in checks)
    rows = [
        (c.name, "BROKEN" if not c.ok else "holds" if c.examined else "unproved", c.examined, "; ".join(c.findings))
        for c in checks
    ]
    emit(
        {"ok": ok, "checks": [check.record() for check in checks]},
        output,
        lambda: table(("proof", "verdict", "examined", "findings"), rows),
    )
    next_step("caudal warehouse login list")
    if not ok:
        raise typer.Exit(Exit.INVARIANT)


@login.callback()
def logins_group() -> None:
    """Logins of BI tools: each sees the rows of one tenant."""


@login.command()
def add(
    name: NameArgument,
    tenant: Annotated[str | None, typer.Option(help="the one tenant whose rows it sees")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="sees all tenants instead")] = False,
    masks: Annotated[
        bool, typer.Option("--masks", help="sees masks of personal fields, in the schema gold_masks")
    ] = False,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Make a login; its password is shown once. Exit 2 when the name is taken or does not fit.

    Example: caudal warehouse login add bi_north --tenant north-outfit
    """
    from serving.warehouse import logins
    from serving.warehouse.app import connected

    if (tenant is None) != operator:
        raise UsageError("a login is of one tenant or of an operator", fix="--tenant NAME, or --operator")
    with connected(_settings(data)) as (link, section):
        password = logins.add(link, name, tenant, masks=masks, settings=section)
        where = {"host": link.info.host, "port": link.info.port, "database": link.info.dbname}
    answer = {"ok": True, "login": name, "password": password, "tenant": tenant, "masks": masks, **where}
    emit(answer, output, lambda: password)
    next_step(f"connect a BI tool to {where['host']}:{where['port']}/{where['database']}: docs/warehouse.md")


@login.command(name="list")
def list_(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Show who may log in, never a password. Example: caudal warehouse login list -o json"""
    from serving.warehouse import logins
    from serving.warehouse.app import connected

    with connected(_settings(data)) as (link, _):
        found = [one.record() for one in logins.listed(link)]
    rows = [(f["name"], f["tenant"] or "(all)", f["masks"], f["added_at"]) for f in found]
    emit({"ok": True, "logins": found}, output, lambda: table(("login", "tenant", "masks", "added"), rows))
    next_step("caudal warehouse login add NAME --tenant TENANT")


@login.command()
def remove(name: NameArgument, data: DataOption = None, output: OutputOption = Output.human) -> None:
    """End a login; open sessions see no row from then on. Exit 2 without such a login.

    Example: caudal warehouse login remove bi_north
    """
    from serving.warehouse import logins
    from serving.warehouse.app import connected

    with connected(_settings(data)) as (link, _):
        logins.remove(link, name)
    emit({"ok": True, "removed": name}, output, lambda: f"removed {name}")
    next_step("caudal warehouse login list")


def run(settings: Settings) -> None:
    """The stage: follow the manifest until SIGTERM or SIGINT. Raises Off without an address."""
    from serving.warehouse import app as warehouse

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    warehouse.follow(settings, declared(settings), stop)


def declared(settings: Settings) -> dict[str, Declared]:
    """Key, masks and words of every mart, from the YAML beside its model."""
    from batch.project import source_dir
    from batch.settings import BatchSettings
    from quality import marts
    from serving.warehouse.plan import Declared

    found = marts.read(source_dir(settings.section("batch", BatchSettings)))
    return {mart.name: Declared(mart.name, mart.key, mart.masks, mart.description) for mart in found}


def _settings(data: str | None) -> Settings:
    from caudal import log, settings

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "warehouse")
    return loaded
