"""`caudal care`: small files, deleted rows and long logs are seen to now, by the tables' only writer."""

from __future__ import annotations

from typing import Annotated

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table

app = typer.Typer()


@app.command()
def care(
    name: Annotated[
        str | None, typer.Argument(metavar="[TABLE]", help="a contract's id, or layer.name; without it: every table")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", help="seconds to wait for the answer", min=1)] = 3600.0,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Compact small files, take deleted rows out of their files and trim the log, now; say what that saved.

    Streaming does it by itself when it is worth it; between two tables the stream goes on. Exit code 2: no such table;
    6: no answer in time.

    Examples:  caudal care  ·  caudal care commerce.order  ·  caudal care raw.events -o json
    """
    from caudal import log, settings
    from streaming.ask import ask

    loaded = settings.load({"data_dir": data})
    log.setup(loaded, "care")
    say(f"caring for {name or 'every table'}; the stream waits while one table is being compacted")
    runs = ask(loaded, "care", {"table": name}, wait)["runs"]
    keys = ("files", "bytes", "log_files", "seconds")
    saved = {key: round(sum(run[key] for run in runs), 2) for key in keys}
    rows = [tuple(run[key] for key in ("table", "kind", *keys)) for run in runs]
    headers = ("table", "what", "files fewer", "bytes fewer", "log files fewer", "s")
    total = ("all", "", *saved.values())
    emit({"ok": True, "saved": saved, "runs": runs}, output, lambda: table(headers, [*rows, total]))
    next_step("caudal status shows files, deleted rows and log of each table")
