"""The model as a value: a scorecard. Each input falls into a bin, each bin has points, the points are added.

Trained by scikit-learn (see `train`), kept as JSON: a file that can be read, that runs no code when it is loaded, and
whose sums come out the same, to the last bit, one by one or in batches.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import ModelError

# A score is kept to this many decimals, so that the last bits of `exp` on another machine change no decision.
DECIMALS = 9
# Points above the usual ones from which on an input is worth telling: a factor of 1.3 in the odds.
TELLING = 0.25


@dataclass(frozen=True)
class Model:
    """`edges[j]` cut input j into bins, `points[j]` has one more entry; `usual[j]` is what input j adds on average.

    `review` and `reject` are the scores from which on those outcomes hold. `features` names the feature specification.
    """

    version: str
    features: str
    inputs: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]
    points: tuple[tuple[float, ...], ...]
    usual: tuple[float, ...]
    intercept: float
    review: float
    reject: float
    report: dict[str, Any]

    def contributions(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of each input: rows as in `matrix`, columns as in `inputs`."""
        out = np.empty(matrix.shape)
        for j, (edges, points) in enumerate(zip(self.edges, self.points, strict=True)):
            out[:, j] = np.array(points)[np.searchsorted(np.array(edges), matrix[:, j], side="right")]
        return out

    def scores(self, contributions: NDArray[np.float64]) -> list[float]:
        """Probability of fraud of each row. Added input by input: the order of additions is part of the model."""
        total = np.full(len(contributions), self.intercept)
        for j in range(len(self.inputs)):
            total += contributions[:, j]
        return [round(1.0 / (1.0 + math.exp(-z)), DECIMALS) for z in total.tolist()]

    def reasons(self, row: NDArray[np.float64], limit: int = 3) -> list[str]:
        """The inputs that raise this row most above the usual, strongest first."""
        above = row - np.array(self.usual)
        order = np.argsort(-above, kind="stable")[:limit]
        return [f"model:{self.inputs[j]}" for j in order.tolist() if above[j] > TELLING]


def versioned(**parts: Any) -> Model:
    """A model named by the hash of its parts."""
    body = {k: v for k, v in parts.items() if k != "report"}
    return Model(version="m-" + _hash(body)[:12], **parts)


def save(model: Model, folder: Path) -> Path:
    """Write the model under its version, and make it the current one. Writing it again changes nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{model.version}.json"
    body = asdict(model)
    _write(path, {"sha256": _hash(body), "model": body})
    _write(folder / "current.json", {"version": model.version})
    return path


def current(folder: Path) -> str | None:
    """The current model's version; None when there is none. Raises ModelError."""
    try:
        return str(json.loads((folder / "current.json").read_text(encoding="utf-8"))["version"])
    except FileNotFoundError:
        return None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError("the current model cannot be told", where=str(folder), why=type(error).__name__) from error


def load(folder: Path, version: str | None = None) -> Model | None:
    """The named model, or the current one; None when there is no current one. Raises ModelError."""
    version = version or current(folder)
    if version is None:
        return None
    path = folder / f"{version}.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        body = raw["model"]
        # The hash is over the parsed content: what is computed with is what was checked.
        if raw["sha256"] != _hash(body):
            raise ModelError("a model file was changed", where=str(path), fix="train again with `caudal fraud train`")
        named = {name: tuple(tuple(row) for row in body.pop(name)) for name in ("edges", "points")}
        return Model(**{**body, **named, "inputs": tuple(body["inputs"]), "usual": tuple(body["usual"])})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError("a model file cannot be used", where=str(path), why=type(error).__name__) from error


def columns(names: Sequence[str], model: Model) -> list[int]:
    """Places of the model's inputs in a vector with these names. Raises ModelError when one is missing."""
    try:
        return [list(names).index(name) for name in model.inputs]
    except ValueError as error:
        raise ModelError("the model needs a feature that the specification lacks", where=model.version) from error


def _hash(body: Any) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _write(path: Path, content: Any) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    temporary.replace(path)
