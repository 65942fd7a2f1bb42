"""`caudal bench soak`: mounted beside the other benchmarks."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from caudal.cli.bench.answer import end, kept_in
from caudal.cli.output import DataOption, Output, OutputOption, say, table


def soak(
    minutes: Annotated[float, typer.Option(min=1, help="how long the load lasts")] = 30,
    rate: Annotated[int, typer.Option(min=1, help="events/s of all contracts together")] = 500,
    sample: Annotated[float, typer.Option(min=1, help="seconds between two samples")] = 10,
    seed: Annotated[int, typer.Option(help="of the records; the programme is always the same")] = 1,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """A long load with faults, new versions, bad, late and double records; then proofs, and what has grown.

    Starts servers of its own; needs no install and hurts none. The answer is also kept in
    <data>/benchmarks/soak.jsonl. Exit 1 when verify finds something or a bound is broken: docs/proof.md has them.
    Example: caudal bench soak --minutes 6 -o json
    """
    from caudal import log, settings
    from caudal.cli.bench import soak as bench
    from caudal.local.plan import local_plan
    from caudal.local.supervisor import Supervisor

    kept = kept_in(data, "soak")
    plan = bench.Plan(rate, minutes * 60, sample, seed)
    with tempfile.TemporaryDirectory(prefix="caudal-soak-") as scratch:
        contracts = bench.contracts_in(Path(scratch) / "contracts")
        own = settings.load({"data_dir": f"{scratch}/data", "contracts_dir": str(contracts)}, {})
        own.data_dir.mkdir(parents=True)
        log.setup(own, "soak")
        children = local_plan(own, lake="local", stages=("streaming",), contracts=False)
        # Nobody asks for features here.
        children = [child for child in children if child.name != "valkey"]
        supervisor = Supervisor(own, children, say=say)
        with supervisor.signals(), supervisor:
            if not supervisor.start():
                return
            found = bench.run(supervisor, plan, say)
    end(found, kept, output, lambda: _shown(found))


def _shown(found: dict[str, Any]) -> str:
    titles = ("s", "driver MiB", "live files", "log files", "behind checkpoint", "sent", "age P95 s")
    bounds = [(b["name"], b["first"], b["last"], b["most"], "ok" if b["ok"] else "BROKEN") for b in found["bounds"]]
    proofs = [
        f"{check['name']}: {'ok' if check['ok'] else 'BROKEN'}, {check['examined']:,} examined"
        + "".join(f"\n  {finding}" for finding in check["findings"])
        for check in found["checks"]
    ]
    return "\n".join([
        table(titles, [tuple(sample.values()) for sample in found["samples"]]),
        "",
        table(("calm part of", "first third", "last third", "at most", ""), bounds),
        "",
        *proofs,
        f"{found['sent']:,} sent, {found['read']:,} in the ledger {found['settled_s']} s after the last",
    ])  # fmt: skip
