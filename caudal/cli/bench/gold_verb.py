"""`caudal bench gold`: mounted beside the other benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from caudal.cli.bench.answer import end, kept_in
from caudal.cli.output import DataOption, Output, OutputOption, say, table


def gold(
    rate: Annotated[float, typer.Option(min=10, help="events/s of all sources together")] = 500,
    seconds: Annotated[float, typer.Option(min=20, help="how long the load is measured")] = 300,
    warm: Annotated[float, typer.Option(min=0, help="seconds of load before that")] = 60,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """From an event to published gold: age of payments in their live mart, seconds of a cycle, share of the gate.

    Starts a platform of its own with simulated users; needs no install and hurts none. The answer is also kept in
    <data>/benchmarks/gold.jsonl. Exit 1 when nothing was published in that time. Example: caudal bench gold --seconds
    60 -o json
    """
    from caudal import log, settings
    from caudal.cli.bench import gold as bench
    from caudal.cli.bench import measure
    from caudal.cli.demo import prepare
    from caudal.cli.demo.run import factor_of, rates
    from caudal.local import stages
    from caudal.local.plan import local_plan
    from caudal.local.supervisor import Supervisor

    first = settings.load({"data_dir": data})
    kept = kept_in(data, "gold")
    with tempfile.TemporaryDirectory(prefix="caudal-gold-") as scratch:
        contracts = prepare.contracts(first.contracts_dir, Path(scratch) / "contracts")
        own = settings.load({"data_dir": f"{scratch}/data", "contracts_dir": str(contracts)}, {})
        own.data_dir.mkdir(parents=True)
        log.setup(own, "bench")
        env = {**rates(own, factor_of(own, rate)), "CAUDAL_PRODUCERS__SIMULATE__HISTORY_DAYS": "1"}
        players = stages.child("simulate", own.run_dir, env=env)
        plan = local_plan(own, lake="local", stages=("streaming", "batch", "web"))
        supervisor = Supervisor(own, [*plan, players], say=say)
        with supervisor.signals(), supervisor:
            found = bench.run(supervisor, bench.Plan(rate, seconds, warm), say) if supervisor.start() else None
            if found is None:
                return
            facts = measure.machine()
    found = {**found, "command": f"caudal bench gold --rate {rate:g} --seconds {seconds:g}", "machine": facts}
    end(found, kept, output, lambda: _shown(found))


def _shown(found: dict[str, Any]) -> str:
    lines = [("event to gold, " + name, f"{value} s") for name, value in found["event_to_gold_s"].items()]
    lines += [
        (f"cycle, {name}", f"{value} s, {found['cycles'][name]} of them") for name, value in found["cycle_s"].items()
    ]
    lines += [("share of the gate", str(found["quality_share"])), ("events/s in the mart", str(found["events_per_s"]))]
    return table(("what", "value"), lines)
