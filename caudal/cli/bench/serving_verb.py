"""`caudal bench serving`: mounted beside the other benchmarks."""

from __future__ import annotations

import tempfile
from typing import Annotated, Any

import typer

from caudal.cli.bench.answer import end, kept_in
from caudal.cli.output import DataOption, Output, OutputOption, say, table


def serving(
    rows: Annotated[int, typer.Option(min=1000, help="rows of the mart")] = 10_000_000,
    tenants: Annotated[int, typer.Option(min=1, help="tenants, each with as many rows")] = 20_000,
    rate: Annotated[float, typer.Option(min=1, help="requests/s")] = 100,
    seconds: Annotated[float, typer.Option(min=1, help="how long the warm load lasts")] = 120,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Questions of single tenants to the API over HTTP, at a steady rate, beside plain DuckDB on the same files.

    Makes a lake of its own; needs no install and hurts none. The answer is also kept in
    <data>/benchmarks/serving.jsonl. Exit 1 when a request was not answered. Example: caudal bench serving
    --rows 1000000 --seconds 20 -o json
    """
    from caudal import log, settings
    from caudal.cli.bench import serving as bench

    kept = kept_in(data, "serving")
    with tempfile.TemporaryDirectory(prefix="caudal-serving-") as scratch:
        own = settings.load({"data_dir": scratch}, {})
        log.setup(own, "bench")
        found = bench.run(own, bench.Plan(rows, tenants, rate, seconds), say)
    end(found, kept, output, lambda: _shown(found))


def _shown(found: dict[str, Any]) -> str:
    rows = [
        ("warm", found["p50_ms"], found["p99_ms"]),
        ("cold", found["cold_p50_ms"], found["cold_p99_ms"]),
        ("DuckDB", found["duckdb_p50_ms"], found["duckdb_p99_ms"]),
    ]
    return "\n".join([
        table(("ms", "P50", "P99"), rows),
        f"{found['rps']} requests/s over {found['tenants_asked']:,} tenants and {found['rows']:,} rows, "
        f"{found['failed']} not answered; memory, peak: {found['peak_mib']} MiB",
        f"DuckDB: {found['duckdb']}",
    ])  # fmt: skip
