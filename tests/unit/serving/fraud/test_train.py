"""Training: deterministic, in order of time, and a file that cannot be changed unseen."""

import json

import numpy as np
import pytest

from serving.errors import ModelError, NoHistory
from serving.features import spec as specs
from serving.features.spec import DAY_MS
from serving.fraud import model as models
from serving.fraud import offline, train

SPEC = specs.load()


def history(days=40, n=6000, seed=3):
    """Honest amounts near 50; every payment above 300 and all at merchant 0 in a while of its own is fraud."""
    draw = np.random.default_rng(seed)
    ms = 20_000 * DAY_MS + np.sort(draw.integers(0, days * DAY_MS, n))
    cents = draw.normal(5000, 1500, n).clip(100).astype(np.int64)
    big = draw.random(n) < 0.03
    cents[big] *= 8
    merchant = draw.integers(0, 50, n)
    fraud = (cents > 30_000) | (merchant == 0)
    return offline.History(
        cents=cents, ms=ms, opened_ms=np.full(n, 19_000 * DAY_MS), fraud=fraud, known_ms=ms + 7 * DAY_MS,
        fields={"subject_ref": draw.integers(0, 100, n), "merchant_id": merchant},
        held={"subject_ref": merchant + 1, "merchant_id": merchant + 1},
    )  # fmt: skip


@pytest.fixture(scope="module")
def fitted():
    return train.fit(SPEC, history())


def test_the_same_history_gives_the_same_model(fitted):
    """Training again changes neither points nor version."""
    assert train.fit(SPEC, history()) == fitted


def test_labels_are_awaited_before_they_are_learned_from():
    """Between what is learned and what judges lie the days in which a label may still come."""
    data = history()
    split = train.prequential(data)
    assert data.ms[split.test].min() - data.ms[split.train].max() >= train.LABEL_DELAY_MS


def test_what_is_plain_to_see_is_learned(fitted):
    """Amounts and a merchant's known frauds separate: better than chance by far, on days not learned from."""
    assert fitted.report["auc"] > 0.9
    assert fitted.report["test"]["frauds"] > 0


def test_scores_do_not_depend_on_the_batch(fitted):
    """One row alone and the same row among others get the same score."""
    values = offline.columns(SPEC, history(n=4000, seed=5))
    matrix = np.column_stack([values[name] for name in fitted.inputs])
    together = fitted.scores(fitted.contributions(matrix))
    alone = [fitted.scores(fitted.contributions(matrix[i : i + 1]))[0] for i in range(0, len(matrix), 97)]
    assert together[::97] == alone


def test_reasons_name_what_raised_the_score(fitted):
    """A large amount is told as the first reason."""
    values = {name: 0.0 for name in fitted.inputs} | {"amount": 400.0, "amount_to_mean": 8.0}
    row = fitted.contributions(np.array([[values[name] for name in fitted.inputs]]))[0]
    assert set(fitted.reasons(row)) & {"model:amount", "model:amount_to_mean"}


def test_a_saved_model_comes_back_equal(fitted, tmp_path):
    """What is loaded is what was saved, and it is current."""
    models.save(fitted, tmp_path)
    assert models.load(tmp_path) == fitted == models.load(tmp_path, fitted.version)


def test_a_changed_file_is_refused(fitted, tmp_path):
    """A point that somebody moved is found by the hash."""
    path = models.save(fitted, tmp_path)
    raw = json.loads(path.read_text())
    raw["model"]["points"][0][0] += 1
    path.write_text(json.dumps(raw))
    with pytest.raises(ModelError):
        models.load(tmp_path)


def test_without_a_model_there_is_none(tmp_path):
    """No current model is an answer, not an error."""
    assert models.load(tmp_path) is None


def test_too_short_a_history_is_told():
    """Without a frauds-and-honest past there is no training."""
    with pytest.raises(NoHistory):
        train.fit(SPEC, history(days=10))
