"""`caudal fraud`: train the model, decide again on a decision."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from caudal.cli.output import DataOption, Output, OutputOption, emit, next_step
from caudal.errors import Exit

app = typer.Typer(help="Train the fraud model; replay decisions from silver.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Train the fraud model; replay decisions from silver."""


@app.command()
def train(data: DataOption = None, output: OutputOption = Output.human) -> None:
    """Train on the history that the simulators publish first, and make the model current.

    Examples: caudal fraud train · caudal fraud train -o json
    """
    from caudal import settings
    from serving.fraud import train as training

    model = training.train(settings.load({"data_dir": data}))
    report: dict[str, Any] = model.report
    facts = {"model": model.version, "features": model.features, "review": model.review, "reject": model.reject}

    def human() -> str:
        plain = report["baseline"]
        return (
            f"model {model.version} on {model.features}\n"
            f"judged on {report['test']['rows']} later payments: AUC {report['auc']}, AP {report['ap']}\n"
            f"plain logistic regression on the same days: AUC {plain['auc']}, AP {plain['ap']}"
        )

    emit({**facts, **report}, output, human)
    next_step("caudal status")


@app.command()
def replay(
    decision_id: Annotated[str, typer.Argument(help="the decision's event id, or its payment's")],
    data: DataOption = None,
    output: OutputOption = Output.human,
) -> None:
    """Rebuild the state from silver, decide again, compare; exit 7 when it is not the same.

    Example: caudal fraud replay 3f0c9a… -o json
    """
    from caudal import settings
    from serving.fraud import replay as replays

    result = replays.replay(settings.load({"data_dir": data}), decision_id)
    emit(
        result.record(),
        output,
        lambda: (
            f"same: {result.outcome}, score {result.score}"
            if result.same
            else f"not the same: {'; '.join(result.differences)}"
        ),
    )
    if not result.same:
        raise typer.Exit(Exit.INVARIANT)
