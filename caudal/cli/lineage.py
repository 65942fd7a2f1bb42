"""`caudal lineage`: what a table and its columns are made of, and what ran, as OpenLineage events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step, table
from caudal.errors import UsageError

if TYPE_CHECKING:
    from batch.lineage.graph import Graph

app = typer.Typer(help="What data is made of, and OpenLineage events of what ran.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """What data is made of, and OpenLineage events of what ran. The batch process writes them by itself."""


@app.command()
def show(
    name: Annotated[
        str, typer.Argument(help="a table (gold.fct_orders) or one of its columns (gold.fct_orders.total)")
    ],
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """What lies above and below a table or a column. Example: caudal lineage show gold.fct_orders.total -o json"""
    from batch.lineage import app as lineage
    from caudal import settings

    graph = lineage.graph(settings.load({"data_dir": data}))
    node, column = _named(graph, name)
    if column:
        above = [
            (f"{one.node}.{one.column}", one.how.lower())
            for one in graph.nodes[node].column(column).origins  # type: ignore[union-attr]
        ]
        below = [(f"{one}.{of_it}", "") for one, of_it in graph.made_of_it(node, column)]
        stored = [f"{one.node}.{one.column}" for one in graph.stored_origins(node, column)]
    else:
        above = [(one, "") for one in sorted(graph.above(node))]
        below = [(one, "") for one in sorted(graph.below(node))]
        stored = list(graph.stored_above(node))
    rows = [("above", *one) for one in above] + [("below", *one) for one in below]
    found = {"name": name, "above": [one for one, _ in above], "below": [one for one, _ in below], "stored": stored}
    emit(found, output, lambda: table(("where", "what", "how"), rows))
    next_step("caudal catalogue build")


@app.command()
def export(
    since: Annotated[str, typer.Option(help="a time, or a duration back from now")] = "P1D",
    out: Annotated[
        Path | None, typer.Option(help="file of JSON lines", show_default="<data>/reports/lineage.jsonl")
    ] = None,
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """OpenLineage events of all cycles and commits since then. Example: caudal lineage export --since PT1H"""
    from batch.lineage import app as lineage
    from caudal import settings
    from caudal.clock import SystemClock
    from streaming.when import parse

    loaded = settings.load({"data_dir": data})
    at = parse(since, SystemClock().now())
    if isinstance(at, int):
        raise UsageError("this is neither a time nor a duration", where="--since", fix="PT1H, or 2026-11-28T06:00:00Z")
    file = out or loaded.data_dir / "reports" / "lineage.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    with file.open("w", encoding="utf-8") as lines:
        for page in lineage.export(loaded, round(at.timestamp() * 1000)):
            for event in page:
                lines.write(json.dumps(event) + "\n")
                counts[event["job"]["name"]] = counts.get(event["job"]["name"], 0) + 1
    answer = {"events": sum(counts.values()), "jobs": counts, "file": str(file)}
    emit(answer, output, lambda: table(("job", "events"), sorted(counts.items())))
    next_step("caudal lineage status")


@app.command()
def status(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """How many events were written, sent, refused and dropped. Example: caudal lineage status -o json"""
    from batch.lineage import follow
    from batch.lineage.settings import LineageSettings
    from caudal import settings
    from caudal.lake import Lake

    loaded = settings.load({"data_dir": data})
    found = follow.load(Lake.open(loaded)) or follow.Position(0)
    answer: dict[str, Any] = {
        "written": found.written,
        "kept": sum(count for _, count in found.files.values()),
        "kept_bytes": sum(size for size, _ in found.files.values()),
        "sending": bool(loaded.section("lineage", LineageSettings).url),
        "sent": found.taken,
        "refused": found.refused,
        "waiting": found.waiting,
        "dropped": found.dropped,
    }
    emit(answer, output, lambda: table(("events", "number"), answer.items()))
    next_step("caudal lineage export --since PT1H")


def _named(graph: Graph, name: str) -> tuple[str, str]:
    """The node and the column (empty: the whole node) of a name. Raises UsageError with the nearest names."""
    import difflib

    if name in graph.nodes:
        return name, ""
    node, _, column = name.rpartition(".")
    if node in graph.nodes:
        if graph.nodes[node].column(column):
            return node, column
        near = difflib.get_close_matches(column, [one.name for one in graph.nodes[node].columns])
        raise UsageError(f"{node} has no such column", where=name, fix=", ".join(near) or "caudal catalogue build")
    near = difflib.get_close_matches(name, graph.nodes, cutoff=0.5)
    raise UsageError("there is no such table", where=name, fix=", ".join(near) or "gold.fct_orders, silver.…, topic.…")
