"""`caudal config`: what is set, and who set it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, table

app = typer.Typer(help="Show the configuration and where each value comes from.", no_args_is_help=True)

MASK = "********"
# Raw sections of stages are not typed here, so names decide what is hidden.
SECRET_WORDS = ("secret", "password", "token", "auth", "sasl")


@app.callback()
def group() -> None:
    """Show the configuration and where each value comes from."""


@app.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="say which source set each value")] = False,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Show every setting; secrets are masked. Example: caudal config show --origin"""
    from caudal import settings

    loaded = settings.load({"data_dir": data})
    rows = [(path, _shown(path, value), loaded.origin(path)) for path, value in _walk(loaded.model_dump())]
    records = [{"setting": p, "value": v, **({"origin": o} if origin else {})} for p, v, o in rows]
    headers = ("setting", "value", "origin") if origin else ("setting", "value")
    emit({"settings": records}, output, lambda: table(headers, [row[: len(headers)] for row in rows]))
    next_step("caudal doctor")


def _walk(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _walk(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(path: str, value: Any) -> str:
    from pydantic import SecretStr

    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if isinstance(value, list) and any(isinstance(item, SecretStr) for item in value):
        return ", ".join(MASK for _ in value)
    if value and any(word in path.lower() for word in SECRET_WORDS):
        return MASK
    return str(value)
