"""Train the scorecard on a history, in order of time: learn, wait for the labels, then be judged on later days."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caudal.settings import Settings
from serving.errors import NoHistory
from serving.features import spec as specs
from serving.features.spec import DAY_MS, FeatureSpec
from serving.fraud import model as models
from serving.fraud import offline
from serving.fraud.model import Model
from serving.settings import ServingSettings

LABEL_DELAY_MS = 7 * DAY_MS
TEST_MS = 7 * DAY_MS
# The first days of a history have no past: their windows are emptier than any later day's.
WARM_UP_MS = 7 * DAY_MS
# What the model looks at. More inputs or finer bins learn the noise of a few hundred frauds (tried: AP 0.54, not 0.65).
INPUTS = (
    "amount",
    "amount_to_mean",
    "night",
    "weekend",
    "customer.count_24h",
    "customer.count_7d",
    "customer.mean_24h",
    "customer.mean_7d",
    "customer.mean_30d",
    "customer.seconds_since_last",
    "merchant.count_24h",
    "merchant.count_7d",
    "merchant.known_count_7d",
    "merchant.risk_24h",
    "merchant.risk_7d",
    "merchant.risk_30d",
)
QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
# Points are kept to this many decimals: what is left of a solver's last bits is not part of the model.
DECIMALS = 6
# The share of payments that people can look at, and how sure a rejection without people has to be.
REVIEW_SHARE = 0.02
REJECT_PRECISION = 0.9


@dataclass(frozen=True)
class Split:
    """Rows to learn from and rows to be judged on."""

    train: NDArray[np.bool_]
    test: NDArray[np.bool_]


def history_file(settings: Settings) -> Path:
    """Where the simulator leaves what it published first."""
    return settings.data_dir / "history" / "transactions.npz"


def models_dir(settings: Settings) -> Path:
    """Where models are kept, each under its version."""
    return settings.data_dir / "models"


def train(settings: Settings) -> Model:
    """Train on the history file, save the model, make it current. Raises NoHistory."""
    spec = specs.load(settings.section("serving", ServingSettings).features)
    fitted = fit(spec, offline.read(history_file(settings), LABEL_DELAY_MS))
    models.save(fitted, models_dir(settings))
    return fitted


def fit(spec: FeatureSpec, history: offline.History) -> Model:
    """Judge on the last days, then learn from everything whose label is known at the end. Deterministic."""
    values = offline.columns(spec, history)
    inputs = tuple(name for name in INPUTS if name in values)
    matrix = np.column_stack([values[name] for name in inputs])
    split = prequential(history)
    final = _known_at_the_end(history)
    for rows, what in ((split.train, "train"), (split.test, "test"), (final, "known")):
        if len(set(history.fraud[rows].tolist())) < 2:
            raise NoHistory("the history is too short", why=f"its {what} days do not hold both honest and fraud")
    end = int(history.ms[-1])
    judged = _scorecard(spec, inputs, matrix[split.train], _known(history, split.train, end - TEST_MS))
    scores = np.array(judged.scores(judged.contributions(matrix[split.test])))
    report = _report(history, split, scores, _baseline(matrix, history.fraud, split))
    review, reject = _thresholds(scores, history.fraud[split.test])
    final_card = _scorecard(spec, inputs, matrix[final], _known(history, final, end))
    parts = {k: v for k, v in vars(final_card).items() if k not in ("version", "review", "reject", "report")}
    return models.versioned(**parts, review=review, reject=reject, report=report)


def prequential(history: offline.History) -> Split:
    """The last 7 days judge; between them and what is learned from lie the 7 days of the label delay."""
    start, end = int(history.ms[0]), int(history.ms[-1])
    test_from = end - TEST_MS
    past = (history.ms > start + WARM_UP_MS) & (history.ms <= test_from - LABEL_DELAY_MS)
    return Split(train=past, test=history.ms > test_from)


def _known_at_the_end(history: offline.History) -> NDArray[np.bool_]:
    start, end = int(history.ms[0]), int(history.ms[-1])
    known: NDArray[np.bool_] = (history.ms > start + WARM_UP_MS) & (history.ms <= end - LABEL_DELAY_MS)
    return known


def _known(history: offline.History, rows: NDArray[np.bool_], at_ms: int) -> NDArray[np.bool_]:
    """Which of these rows were known to be fraud at an instant."""
    known: NDArray[np.bool_] = history.fraud[rows] & (history.known_ms[rows] <= at_ms)
    return known


def one_hot(matrix: NDArray[np.float64], edges: tuple[tuple[float, ...], ...]) -> NDArray[np.float64]:
    """Each input as one column per bin."""
    parts = []
    for j, cuts in enumerate(edges):
        places = np.searchsorted(np.array(cuts), matrix[:, j], side="right")
        parts.append(np.eye(len(cuts) + 1)[places])
    return np.column_stack(parts)


def _scorecard(
    spec: FeatureSpec, inputs: tuple[str, ...], matrix: NDArray[np.float64], fraud: NDArray[np.bool_]
) -> Model:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    edges = tuple(_edges(matrix[:, j]) for j in range(len(inputs)))
    # newton-cholesky: exact Newton steps, so the same data give the same points whatever the number of threads.
    pipeline = Pipeline(
        [
            ("bins", FunctionTransformer(one_hot, kw_args={"edges": edges})),
            ("points", LogisticRegression(solver="newton-cholesky", C=0.3, max_iter=200)),
        ]
    ).fit(matrix, fraud)
    weights = pipeline.named_steps["points"].coef_[0]
    points, at = [], 0
    for cuts in edges:
        points.append(tuple(round(float(w), DECIMALS) for w in weights[at : at + len(cuts) + 1]))
        at += len(cuts) + 1
    card = models.versioned(
        features=spec.label,
        inputs=inputs,
        edges=edges,
        points=tuple(points),
        usual=(0.0,) * len(inputs),
        intercept=round(float(pipeline.named_steps["points"].intercept_[0]), DECIMALS),
        review=0.5,
        reject=0.9,
        report={},
    )
    usual = tuple(round(float(x), DECIMALS) for x in card.contributions(matrix).mean(axis=0))
    return models.versioned(**{**{k: v for k, v in vars(card).items() if k != "version"}, "usual": usual})


def _edges(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Cuts at quantiles of the values that occur; inputs that are mostly 0 are cut among their other values."""
    spread = values[values > 0] if (values == 0).mean() > 0.5 and (values > 0).any() else values
    cuts = np.unique(np.quantile(spread, QUANTILES))
    lowest = float(values.min())
    return tuple(float(c) for c in cuts if c > lowest)


def _baseline(matrix: NDArray[np.float64], fraud: NDArray[np.bool_], split: Split) -> dict[str, float]:
    """A plain logistic regression on the same rows, to see what the bins bring."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score, roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    plain = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cholesky", max_iter=200))
    plain.fit(matrix[split.train], fraud[split.train])
    scores = plain.predict_proba(matrix[split.test])[:, 1]
    truth = fraud[split.test]
    return {
        "auc": round(float(roc_auc_score(truth, scores)), 4),
        "ap": round(float(average_precision_score(truth, scores)), 4),
    }


def _report(
    history: offline.History, split: Split, scores: NDArray[np.float64], baseline: dict[str, float]
) -> dict[str, Any]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth = history.fraud[split.test]
    return {
        "auc": round(float(roc_auc_score(truth, scores)), 4),
        "ap": round(float(average_precision_score(truth, scores)), 4),
        "baseline": baseline,
        "rows": len(history),
        "train": {"rows": int(split.train.sum()), "frauds": int(history.fraud[split.train].sum())},
        "test": {"rows": int(split.test.sum()), "frauds": int(truth.sum())},
        "label_delay_days": LABEL_DELAY_MS // DAY_MS,
    }


def _thresholds(scores: NDArray[np.float64], fraud: NDArray[np.bool_]) -> tuple[float, float]:
    """Review the share that people can look at; reject from where the held-out days were sure enough."""
    review = float(np.quantile(scores, 1 - REVIEW_SHARE))
    order = np.argsort(-scores, kind="stable")
    precision = np.cumsum(fraud[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= REJECT_PRECISION)
    reject = float(scores[order[good[-1]]]) if len(good) else 1.0
    return round(min(review, 0.5), models.DECIMALS), round(max(reject, review, 0.5), models.DECIMALS)
