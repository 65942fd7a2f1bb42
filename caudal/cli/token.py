"""`caudal token`: bearer tokens for ingest, readers, the scorer and operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step
from caudal.errors import UsageError

if TYPE_CHECKING:
    from caudal import tokens

app = typer.Typer(help="Make tokens. They are shown once.", no_args_is_help=True)
ROLES = ("ingest", "reader", "scorer", "operator")


@app.callback()
def group() -> None:
    """Make tokens. They are shown once."""


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
