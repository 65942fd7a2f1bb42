"""`caudal bench warehouse`: mounted beside the other benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from caudal.cli.bench.answer import end, kept_in
from caudal.cli.output import DataOption, Output, OutputOption, say, table


def warehouse(
    rows: Annotated[int, typer.Option(min=1000, help="rows of the mart")] = 10_000_000,
    tenants: Annotated[int, typer.Option(min=64, help="tenants, each with as many rows")] = 20_000,
    questions: Annotated[int, typer.Option(min=100, help="how many are asked")] = 10_000,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Questions of single tenants' logins to PostgreSQL, and what publishes cost, whole and by changes.

    Makes a lake and a server of its own; needs no install and hurts none. The answer is also kept in
    <data>/benchmarks/warehouse.jsonl. Exit 1 when the P99 is over 500 ms. Example:
    caudal bench warehouse --rows 1000000 -o json
    """
    from caudal import log, settings
    from caudal.cli.bench import warehouse as bench

    kept = kept_in(data, "warehouse")
    with tempfile.TemporaryDirectory(prefix="caudal-warehouse-") as scratch:
        # PostgreSQL runs as another user than root, who must be able to enter
        Path(scratch).chmod(0o755)
        own = settings.load({"data_dir": scratch}, {})
        log.setup(own, "bench")
        found = bench.run(own, bench.Plan(rows, tenants, questions), say)
    end(found, kept, output, lambda: _shown(found))


def _shown(found: dict[str, Any]) -> str:
    rows = [
        ("question, P50 ms", found["p50_ms"]),
        ("question, P99 ms", found["p99_ms"]),
        (f"publish of {found['rows']:,} rows, s", found["whole_s"]),
        (f"publish of {found['changed_rows']:,} changes, s", found["changes_s"]),
    ]
    return table(("figure", "value"), rows)
