"""`caudal verify`: prove the seven invariants on this install."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table
from caudal.errors import Exit

if TYPE_CHECKING:
    from caudal.settings import Settings

app = typer.Typer()
# Nothing listens on the discard port of loopback.
NOWHERE = "127.0.0.1:9"


@app.command()
def verify(
    invariant: Annotated[list[int] | None, typer.Option(help="only this invariant, 1 to 7; repeatable")] = None,
    deep: Annotated[bool, typer.Option(help="also make every silver table anew from raw and compare")] = False,
    since: Annotated[
        str | None, typer.Option(help="1 and 7: raw from this batch, time or duration ago on", show_default=False)
    ] = None,
    wait: Annotated[float, typer.Option(help="seconds to wait for the deep answer", min=1)] = 7200.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Prove the invariants, each with how many things were examined; exit 7 names the broken one.

    1 conservation, 2 no plaintext, 3 only tested gold, 4 one truth for features, 5 replay, 6 isolation,
    7 idempotence. Works beside a running install. With --deep every silver table is made anew from raw beside the live
    one, and compared row by row. With --since, 1 and 7 count only what raw took since then, and --deep begins at the
    version that silver had then. Examples: caudal verify · caudal verify --invariant 2 -o json · caudal verify --deep ·
    caudal verify --since PT1H
    """
    from caudal import log, settings
    from caudal.cli.proofs import prove, verdict

    loaded = own_servers(settings.load({"data_dir": data}))
    log.setup(loaded, "verify")
    checks = prove(loaded, invariant or (), lambda name, seconds: say(f"{name}: {seconds:.1f} s"), since)
    if deep:
        from streaming import verify as streaming

        say("making silver anew from raw; the stream goes on meanwhile (caudal logs streaming)")
        checks.append(streaming.deep(loaded, wait, since))
    result = verdict(checks)
    emit(result, output, lambda: _page(result))
    if not result["ok"]:
        broken = ", ".join(f"{c['invariant']} ({c['name']})" for c in result["checks"] if not c["ok"])
        say(f"CDL-INVARIANT: broken: {broken}")
        raise typer.Exit(Exit.INVARIANT)
    next_step("caudal status")


def own_servers(loaded: Settings) -> Settings:
    """The settings with servers that nobody named and no running install gives put out of reach.

    On their default ports may be another install's, and its records prove nothing about this one.
    """
    from pydantic import SecretStr

    if loaded.origin("kafka.bootstrap") == "default":
        loaded = loaded.with_(kafka=loaded.kafka.model_copy(update={"bootstrap": NOWHERE}))
    if loaded.origin("redis.url") == "default":
        loaded = loaded.with_(redis=loaded.redis.model_copy(update={"url": SecretStr(f"redis://{NOWHERE}/0")}))
    return loaded


def _page(result: dict[str, Any]) -> str:
    rows = [
        (check["invariant"], check["name"], "holds" if check["ok"] else "BROKEN", check["examined"])
        for check in result["checks"]
    ]
    lines = [table(("invariant", "name", "verdict", "examined"), rows)]
    for check in result["checks"]:
        for part in check["parts"]:
            if not part["ok"]:
                lines += [f"{check['invariant']} {part['name']}: {part['detail']}"]
                lines += [f"    {finding}" for finding in part["findings"][:20]]
    return "\n".join(lines)
