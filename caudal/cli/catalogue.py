"""`caudal catalogue`: every table with its columns, versions, checks and neighbours, as pages, JSON, or in AWS Glue."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, say, table

if TYPE_CHECKING:
    from batch.lineage.graph import Graph
    from caudal.settings import Settings

app = typer.Typer(help="What there is: tables, columns, where they come from, how good they are.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """What there is: tables, columns, where they come from, how good they are."""


@app.command()
def build(
    out: Annotated[Path | None, typer.Option(help="folder", show_default="<data>/reports/catalogue")] = None,
    samples: Annotated[bool, typer.Option(help="show some values of columns that are masked or not personal")] = False,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Write the catalogue as pages that need no network, and as JSON. Example: caudal catalogue build -o json"""
    from batch.lineage import pages
    from caudal import settings

    loaded = settings.load({"data_dir": data})
    graph, found = _catalogue(loaded, samples=samples)
    folder = out or loaded.catalogue_dir
    files = pages.render(found, graph)
    pages.write(folder, files)
    layers = Counter(one["layer"] for one in found["tables"])
    failing = [one["id"] for one in found["tables"] if one["verdict"] == "critical"]
    answer = {"folder": str(folder), "pages": len(files) - 1, "tables": dict(layers), "failing": failing}
    emit(answer, output, lambda: table(("layer", "tables"), layers.items()))
    say(f"Page: {folder / pages.INDEX}")
    next_step("caudal lineage show gold.fct_orders")


@app.command()
def register(
    glue: Annotated[bool, typer.Option("--glue", help="into AWS Glue")] = False,
    endpoint: Annotated[str, typer.Option(help="address of Glue, when it is not AWS's own")] = "",
    region: Annotated[str, typer.Option(help="AWS region", show_default="lake.s3_region")] = "",
    prefix: Annotated[str, typer.Option(help="databases are <prefix>_silver and <prefix>_gold")] = "caudal",
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Register silver and published gold, so that other engines find them; only what differs is changed.

    Example: caudal catalogue register --glue --region sa-east-1 -o json
    """
    from batch.lineage import glue as registry
    from batch.lineage.errors import NameTaken
    from caudal import settings
    from caudal.errors import UsageError
    from caudal.lake import Lake

    if not glue:
        raise UsageError("name the catalogue to register in", where="caudal catalogue register", fix="--glue")
    loaded = settings.load({"data_dir": data})
    _, found = _catalogue(loaded, samples=False)
    lake = Lake.open(loaded).uri
    client = registry.client(loaded.lake, endpoint, region)
    done = registry.register(client, registry.entries(found, lake, prefix), lake, prefix)
    rows = [(one.database, one.table, one.done) for one in done]
    answer = {"tables": [dict(zip(("database", "table", "done"), row, strict=True)) for row in rows]}
    taken = [f"{one.database}.{one.table}" for one in done if one.done == "taken"]
    if taken:
        raise NameTaken(
            "tables that somebody else registered stand in the way",
            where=", ".join(taken),
            fix="another --prefix, or remove them in Glue; all others are registered",
        )
    emit(answer, output, lambda: table(("database", "table", "done"), rows))
    next_step("caudal catalogue build")


def _catalogue(loaded: Settings, *, samples: bool) -> tuple[Graph, dict[str, Any]]:
    from batch.lineage import app as lineage
    from batch.lineage import catalogue
    from caudal.clock import SystemClock
    from caudal.lake import Lake

    graph = lineage.graph(loaded)
    return graph, catalogue.build(Lake.open(loaded), graph, SystemClock().now_ms(), samples=samples)
