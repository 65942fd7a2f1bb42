"""`caudal bench`: measure this machine."""

from __future__ import annotations

import tempfile
from typing import Annotated, Any

import typer

from caudal.cli.bench import gold_verb, serving_verb, soak_verb, warehouse_verb
from caudal.cli.bench.answer import end, kept_in
from caudal.cli.output import DataOption, Output, OutputOption, say, table
from caudal.errors import UsageError

app = typer.Typer(help="Measure speed and memory on this machine.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Measure speed and memory on this machine."""


app.command()(soak_verb.soak)
app.command()(gold_verb.gold)
app.command()(serving_verb.serving)
app.command()(warehouse_verb.warehouse)


@app.command()
def ingest(
    events: Annotated[int, typer.Option(min=1000, help="events on each topic")] = 2_000_000,
    repeats: Annotated[int, typer.Option(min=1, help="measured runs of each job, after one to warm up")] = 3,
    batch: Annotated[int, typer.Option(min=1, help="records of a micro-batch, the same for all jobs")] = 50_000,
    rate: Annotated[int, typer.Option(min=1, help="events/s of the steady load")] = 1000,
    seconds: Annotated[float, typer.Option(min=5, help="how long the steady load lasts")] = 300,
    growth_rows: Annotated[
        str, typer.Option(help="rows of silver to measure growth with, or none")
    ] = "1000000,10000000,50000000",
    growth_contracts: Annotated[
        str, typer.Option(help="numbers of contracts to measure growth with, or none")
    ] = "1,10,50",
    growth_events: Annotated[int, typer.Option(min=100, help="events of each backlog of the growth")] = 200_000,
    growth_seconds: Annotated[float, typer.Option(min=5, help="seconds of each steady load of the growth")] = 60,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Kafka to silver beside a bare copy and the plain job. Starts servers of its own; needs no install and hurts none.

    The answer is also kept in <data>/benchmarks/ingest.jsonl. Exit 1 when the plain job was disturbed (below 0.45 of
    the bare copy) or the proofs of a run failed. Example: caudal bench ingest --events 200000 --repeats 1 --seconds 30
    --growth-rows none --growth-contracts none
    """
    from caudal import log, settings
    from caudal.cli.bench import ingest as bench
    from caudal.cli.bench.growth import Sizes
    from caudal.local.plan import local_plan
    from caudal.local.supervisor import Supervisor

    kept = kept_in(data, "ingest")
    sizes = Sizes(_sizes(growth_rows), _sizes(growth_contracts), growth_events, rate, growth_seconds)
    plan = bench.Plan(events, repeats, batch, rate, seconds, sizes)
    with tempfile.TemporaryDirectory(prefix="caudal-bench-") as scratch:
        own = settings.load({"data_dir": scratch, "contracts_dir": str(bench.CONTRACTS / "append")}, {})
        log.setup(own, "bench")
        supervisor = Supervisor(own, local_plan(own, lake="local", stages=(), contracts=False), say=say)
        with supervisor.signals(), supervisor:
            if not supervisor.start():
                return
            found = bench.run(supervisor.settings, plan, say)
    end(found, kept, output, lambda: _shown(found))


def _sizes(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError:
        raise UsageError("sizes are whole numbers with commas between, or `none`", why=f"`{text}`") from None


def _shown(found: dict[str, Any]) -> str:
    cpu = found["cpu_s_per_million"]
    speeds = {name: found[f"{name}_eps"] for name in cpu}
    rows = [
        (name.replace("_", " "), f"{eps:,}", f"{eps / speeds['plain']:.2f}", cpu[name]) for name, eps in speeds.items()
    ]
    age = ", ".join(f"{name} {value}" for name, value in found["silver_age_s"].items())
    from caudal.cli.bench import growth

    return "\n".join([
        table(("job", "events/s", "of plain", "CPU s / million"), rows),
        f"age in silver at {found['plan']['rate']}/s, seconds: {age}",
        f"driver, peak: {found['peak_driver_mib']} MiB",
        growth.plain(found["growth"]),
    ])  # fmt: skip
