"""`caudal`: one command for the whole road.

Exit codes: 0 ok; 1 unexpected; 2 usage; 3 configuration or preflight; 4 contract; 5 quality gate; 6 something is
unreachable, try again; 7 an invariant is broken; 10 changes are pending; 130 and 143 interrupted.
"""

from __future__ import annotations

import importlib
import importlib.util
import signal
import sys
from typing import Annotated

import typer

from caudal import __version__
from caudal.cli.output import DataOption, Output, OutputOption, emit, fail, next_step, table, wanted
from caudal.errors import CaudalError, Exit, UsageError

EPILOG = """Examples:  caudal demo  ·  caudal up  ·  caudal status -o json  ·  caudal contract show commerce.order

Exit codes: 0 ok, 1 unexpected, 2 usage, 3 configuration, 4 contract, 5 quality gate, 6 unreachable (retry),
7 invariant broken, 10 changes pending"""

app = typer.Typer(
    name="caudal",
    help="From a pushed event to a masked lake table, a tested gold mart, a live page and a fraud decision.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

# What `caudal run` starts; each is `module:function(settings)` and blocks until it is told to stop.
STAGES = {
    "registry": "schemas.registry.app:run",
    "streaming": "streaming.app:run",
    "batch": "caudal.cli.batch_process:run",
    "sealer": "producers.sealer.app:run",
    "scorer": "serving.fraud.app:run",
    "web": "caudal.cli.web:run",
    "warehouse": "caudal.cli.warehouse:run",
    "simulate": "producers.simulate.app:run",
}
# Modules whose typer app brings verbs of its own: (module, group name or None for top-level verbs).
MOUNTED = (
    ("caudal.cli.demo.verb", None),
    ("caudal.cli.platform", None),
    ("caudal.cli.verify", None),
    ("caudal.cli.bench.verb", "bench"),
    ("caudal.cli.contract", "contract"),
    ("caudal.cli.batch", "batch"),
    ("caudal.cli.quality", "quality"),
    ("caudal.cli.lineage", "lineage"),
    ("caudal.cli.catalogue", "catalogue"),
    ("caudal.cli.deadletters", "deadletters"),
    ("caudal.cli.rebuild", "rebuild"),
    ("caudal.cli.care", None),
    ("caudal.cli.recover", "recover"),
    ("caudal.cli.restore", "restore"),
    ("caudal.cli.purge", "purge"),
    ("caudal.cli.retain", None),
    ("caudal.cli.plan", None),
    ("caudal.cli.fraud", "fraud"),
    ("caudal.cli.token", "token"),
    ("caudal.cli.warehouse", "warehouse"),
    ("caudal.cli.config", "config"),
)


@app.command()
def run(
    stage: Annotated[str, typer.Argument(help=", ".join(STAGES))],
    data: DataOption = None,
) -> None:
    """Run one stage in this process until it is told to stop (what the supervisor and containers call)."""
    from caudal import log, settings

    target = STAGES.get(stage)
    if target is None:
        raise UsageError(f"there is no stage {stage!r}", fix=f"one of {', '.join(STAGES)}")
    loaded = settings.load({"data_dir": data})
    log.setup(loaded, stage)
    module, function = target.split(":")
    getattr(importlib.import_module(module), function)(loaded)


@app.command()
def version(output: OutputOption = Output.human) -> None:
    """Show the versions that work together."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    names = ("confluent-kafka", "fastavro", "pyspark", "delta-spark", "deltalake", "dbt-core", "great-expectations")
    found: dict[str, str] = {"caudal": __version__, "python": sys.version.split()[0]}
    for name in names:
        try:
            found[name] = installed(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    emit(found, output, lambda: table(("part", "version"), found.items()))
    next_step("caudal doctor")


for module_name, group in MOUNTED:
    if importlib.util.find_spec(module_name) is None:
        continue
    mounted = importlib.import_module(module_name)
    app.add_typer(mounted.app, name=group)


def _interrupted(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def entry() -> None:
    """The console script: errors become facts and exit codes, never traces."""
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        app()
    except CaudalError as error:
        sys.exit(fail(error, wanted(sys.argv[1:])))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(Exit.OK)


if __name__ == "__main__":
    entry()
