"""Measures of a contract: read, written back, and refused where they have no meaning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from schemas import document, read_quality
from schemas.contract import Contract, Measure
from schemas.errors import ContractError
from schemas.lint import lint
from schemas.load import load_catalog

ROOT = Path(__file__).resolve().parents[3]


def measures(tmp_path: Path, entry: str) -> tuple[Measure, ...]:
    """The measures of a contract whose only entry this is."""
    file = tmp_path / "contract.yml"
    file.write_text(f"quality:\n  - {entry}\n", encoding="utf-8")
    return read_quality.measures(document.read(file))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{code: N, metric: rowCount, mustBeBetween: [1, 9]}", Measure("N", "rowCount", low=1, high=9)),
        ("{code: P, metric: p95, field: total, mustBeLessOrEqualTo: 5}", Measure("P", "p95", "total", high=5)),
        ("{code: M, metric: mean, field: total, steady: 6, on_fail: reject, min_rows: 10}",
         Measure("M", "mean", "total", steady=6, min_rows=10, on_fail="reject")),
        ("{code: K, metric: known, field: a, of: x.y.z, mustBeGreaterOrEqualTo: 0.9}",
         Measure("K", "known", "a", low=0.9, of="x.y.z")),
    ],
)  # fmt: skip
def test_a_measure_says_what_lies_where(tmp_path: Path, entry: str, expected: Measure) -> None:
    """Each form is read, and its written form reads as the same measure."""
    assert measures(tmp_path, entry) == (expected,)
    assert measures(tmp_path, str(read_quality.record(expected)).replace("'", '"')) == (expected,)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ("{code: M, metric: median, field: total, steady: 6}", "cannot be `median`"),
        ("{code: M, metric: mean, steady: 6}", "of one field"),
        ("{code: M, metric: mean, field: total}", "has bounds"),
        ("{code: M, metric: known, field: total, steady: 6}", "says of what"),
        ("{code: M, metric: p95, field: total, mustBeBetween: [9, 1]}", "lower and the upper"),
        ("{code: m, metric: rowCount, steady: 6}", "no code of its own"),
        ("{code: M, metric: rowCount, steady: 6, colour: red}", "no part of a contract"),
    ],
)
def test_a_measure_that_says_nothing_is_refused(tmp_path: Path, entry: str, why: str) -> None:
    """The error points at the line."""
    with pytest.raises(ContractError, match=why) as caught:
        measures(tmp_path, entry)
    assert caught.value.line == 2


@pytest.fixture
def contract() -> Contract:
    return load_catalog(ROOT / "schemas" / "contracts")["payments.transaction"]


@pytest.mark.parametrize(
    ("measure", "code"),
    [
        (Measure("M", "mean", "customer_email", low=0), "CDL-CONTRACT-PII"),
        (Measure("M", "p50", "method", low=0), "CDL-CONTRACT-RULE"),
        (Measure("M", "nulls", "customer_email", high=0.5), None),
        (Measure("M", "mean", "amount", low=0), None),
    ],
)
def test_no_measure_tells_of_a_person(contract: Contract, measure: Measure, code: str | None) -> None:
    """A personal field is only asked for nulls, and what has no number for no mean."""
    found = [finding.code for finding in lint(replace(contract, measures=(measure,)))]
    assert found == ([code] if code else [])
