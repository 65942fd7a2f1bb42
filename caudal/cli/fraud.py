"""`caudal fraud`: train the model, decide again on a decision."""

from __future__ import annotations

import json
from typing import Annotated, Literal

import typer

from caudal.errors import Exit
from caudal.settings import load

app = typer.Typer(name="fraud", no_args_is_help=True, help="Train the fraud model; replay decisions from silver.")

Output = Annotated[Literal["text", "json"], typer.Option("--output", "-o", help="text for people, json for programs.")]


@app.command(epilog="Example: caudal fraud train -o json")
def train(output: Output = "text") -> None:
    """Train on the history that the simulators published first, and make the model current."""
    from serving.fraud import train as training

    model = training.train(load())
    report = model.report
    if output == "json":
        typer.echo(json.dumps({"model": model.version, "review": model.review, "reject": model.reject, **report}))
        return
    typer.echo(f"model {model.version} on {model.features}")
    typer.echo(f"judged on {report['test']['rows']} later payments: AUC {report['auc']}, AP {report['ap']}")
    plain = report["baseline"]
    typer.echo(f"plain logistic regression on the same days: AUC {plain['auc']}, AP {plain['ap']}")


@app.command(epilog="Example: caudal fraud replay 3f0c9a… -o json")
def replay(
    decision_id: Annotated[str, typer.Argument(help="The decision's event id, or its payment's.")],
    output: Output = "text",
) -> None:
    """Rebuild the state from silver, decide again, compare. Exit 7 when it is not the same."""
    from serving.fraud import replay as replays

    result = replays.replay(load(), decision_id)
    if output == "json":
        typer.echo(json.dumps(result.record()))
    elif result.same:
        typer.echo(f"same: {result.outcome}, score {result.score}")
    else:
        typer.echo(f"not the same: {'; '.join(result.differences)}")
    if not result.same:
        raise typer.Exit(Exit.INVARIANT)
