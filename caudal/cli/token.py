"""`caudal token`: bearer tokens for ingest, readers, the scorer and operators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, table
from caudal.errors import UsageError

if TYPE_CHECKING:
    from caudal import tokens

app = typer.Typer(help="Make, list, rotate and end tokens. They are shown once.", no_args_is_help=True)
ROLES = ("ingest", "reader", "scorer", "operator")


@app.callback()
def group() -> None:
    """Make, list, rotate and end tokens. They are shown once."""


@app.command()
def issue(
    role: Annotated[str, typer.Argument(help=", ".join(ROLES))],
    tenant: Annotated[str | None, typer.Option(help="the one tenant the token speaks for")] = None,
    contract: Annotated[list[str] | None, typer.Option(help="contract an ingest token may write; repeatable")] = None,
    days: Annotated[float | None, typer.Option(help="lifetime in days", show_default="no end")] = None,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Make a token. Example: caudal token issue ingest --tenant acme --contract product.event"""
    from caudal import settings, tokens

    if role not in ROLES or (tenant is None and role in ("ingest", "reader")):
        raise UsageError("the token needs a known role and, for ingest and reader, a tenant", fix="see --help")
    store = tokens.open_store(settings.load({"data_dir": data}).data_dir)
    lifetime = days * 86_400 if days is not None else None
    plain = store.issue(cast("tokens.Role", role), tenant, tuple(contract or ()), lifetime_s=lifetime)
    store.close()
    emit({"token": plain, "role": role, "tenant": tenant}, output, lambda: plain)
    next_step("send it as `Authorization: Bearer …`")


@app.command(name="list")
def list_(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Show living tokens by id, never the tokens themselves. Example: caudal token list -o json"""
    with _store(data) as store:
        found = store.listed()
    rows = [(h.principal.id, h.principal.role, h.principal.tenant, _ends(h.expires)) for h in found]
    titles = ("id", "role", "tenant", "expires")
    emit({"tokens": [dict(zip(titles, row, strict=True)) for row in rows]}, output, lambda: table(titles, rows))
    next_step("caudal token rotate ID")


@app.command()
def rotate(
    id_: Annotated[str, typer.Argument(metavar="ID", help="id of a living token")],
    grace_hours: Annotated[float, typer.Option(min=0, help="hours for which the old one still works")] = 24,
    days: Annotated[float | None, typer.Option(help="lifetime of the new one", show_default="no end")] = None,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Make a token like another, which then ends. Exit 2 without such an id. Example: caudal token rotate 0f3a…"""
    with _store(data) as store:
        lifetime = days * 86_400 if days is not None else None
        plain = store.rotate(id_, grace_s=grace_hours * 3600, lifetime_s=lifetime)
    if plain is None:
        raise UsageError("no living token has that id", fix="caudal token list")
    emit({"token": plain, "replaces": id_}, output, lambda: plain)
    next_step(f"give it to its user within {grace_hours:g} h")


@app.command()
def revoke(
    id_: Annotated[str, typer.Argument(metavar="ID", help="id of a token")],
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """End a token at once. Exit 2 without such an id. Example: caudal token revoke 0f3a…"""
    with _store(data) as store:
        ended = store.end(id_)
    if not ended:
        raise UsageError("no token has that id", fix="caudal token list")
    emit({"revoked": id_}, output, lambda: f"ended {id_}")
    next_step("caudal token list")


@contextmanager
def _store(data: str | None) -> Iterator[tokens.TokenStore]:
    from caudal import settings, tokens

    store = tokens.open_store(settings.load({"data_dir": data}).data_dir)
    try:
        yield store
    finally:
        store.close()


def _ends(expires: float | None) -> str | None:
    if expires is None:
        return None
    return datetime.fromtimestamp(expires, UTC).isoformat(timespec="seconds")
