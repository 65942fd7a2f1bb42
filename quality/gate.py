"""The gate: each suite as a Great Expectations checkpoint on a Spark frame; the verdict is the checkpoint's own.

Results carry counts and aggregates; of failing rows only their identity is collected, and few of them. Expectations
are made once and held; a frame, and the bounds that move, are handed to them at each run.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from quality import evidence
from quality.results import Result
from quality.steady import Bounds, Steady
from quality.suites import Check, Suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Every measure's number, all from one query.
NUMBERS = {"result_format": "BASIC"}
OPEN: Bounds = (None, None)


class Gate:
    """A held Great Expectations context with one checkpoint a suite. `steady` knows what moving measures were."""

    def __init__(self, steady: Steady | None = None) -> None:
        # Read by the library when it is imported.
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        with warnings.catch_warnings():
            # What the library imports warns about modules that Python will drop; none of it is ours.
            warnings.simplefilter("ignore")
            import great_expectations as gx
            from great_expectations.data_context.types.base import ProgressBarsConfig

            from quality.expectations import ExpectMeasureToBeBetween

        # This one sets its own level and tells of a temporary folder.
        for name in ("great_expectations", "great_expectations.data_context.types.base"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._gx, self._measure, self._steady = gx, ExpectMeasureToBeBetween, steady
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        # The frames are small slices of tables, looked at once: caching them would only fill the heap.
        self._source = self._context.data_sources.add_spark("lake", persist=False)
        self._held: dict[str, tuple[Suite, Any]] = {}
        self._made = 0

    def run(self, suite: Suite, frame: DataFrame, rows: int | None = None) -> tuple[Result, ...]:
        """Run one suite on one frame of `rows` rows (None: not known), in one pass, and name some rows of a failure.

        A check that breaks counts as failed, and says so.
        """
        checked = frame.selectExpr("*", *(f"{sql} as `{name}`" for name, sql in suite.flags.items()))
        moving = self._moving(suite)
        outcome = self._checkpoint(suite).run(
            batch_parameters={"dataframe": checked}, expectation_parameters=_parameters(suite, moving)
        )
        [validated] = outcome.run_results.values()
        by_code = {item.expectation_config.meta["code"]: item for item in validated.results}
        counted = by_code["ROWS"].result.get("observed_value") if "ROWS" in by_code else rows
        found = tuple(
            _result(suite, check, by_code.get(check.code), counted, moving.get(check.code, OPEN))
            for check in suite.checks
        )
        if bool(outcome.success) != all(result.ok for result in found):
            raise AssertionError(f"suite {suite.name}: the checkpoint and its results disagree")
        return evidence.attach(suite, checked, found)

    def _moving(self, suite: Suite) -> dict[str, Bounds]:
        """Bounds by code of measures that have a past: the fixed ones, made narrower by those that follow from it."""
        named = {f"{suite.name}:{check.code}": check for check in suite.checks if check.moving}
        wanted = {name: check.moving for name, check in named.items()}
        past = self._steady.bounds(wanted) if self._steady else dict.fromkeys(named, OPEN)
        return {check.code: _narrower(past[name], (check.low, check.high)) for name, check in named.items()}

    def _checkpoint(self, suite: Suite) -> Any:
        held = self._held.get(suite.name)
        if held is not None and held[0] == suite:
            return held[1]
        gx = self._gx
        # A changed suite gets a new name: the context keeps objects by name.
        self._made += 1
        name = f"{suite.name}#{self._made}"
        batch = self._source.add_dataframe_asset(name=name).add_batch_definition_whole_dataframe("frame")
        expectations = self._context.suites.add(
            gx.ExpectationSuite(name=name, expectations=[self._expectation(suite, check) for check in suite.checks])
        )
        validation = self._context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=expectations)
        )
        made = self._context.checkpoints.add(
            gx.Checkpoint(name=name, validation_definitions=[validation], result_format=NUMBERS)
        )
        self._held[suite.name] = (suite, made)
        return made

    def _expectation(self, suite: Suite, check: Check) -> Any:
        common: dict[str, Any] = {"meta": {"code": check.code}, "severity": check.severity}
        if check.unit == "columns":
            names = [*suite.columns, *suite.flags]
            return self._gx.expectations.ExpectTableColumnsToMatchOrderedList(column_list=names, **common)
        low: Any = {"$PARAMETER": f"low_{_place(suite, check)}"} if check.moving else check.low
        high: Any = {"$PARAMETER": f"high_{_place(suite, check)}"} if check.moving else check.high
        return self._measure(measure=check.measure, min_value=low, max_value=high, **common)


def _narrower(one: Bounds, other: Bounds) -> Bounds:
    lows, highs = ([bound for bound in pair if bound is not None] for pair in zip(one, other, strict=True))
    return max(lows, default=None), min(highs, default=None)


def _place(suite: Suite, check: Check) -> int:
    """The check's number in its suite: a code holds signs that a parameter's name may not."""
    return suite.checks.index(check)


def _parameters(suite: Suite, moving: Mapping[str, Bounds]) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for check in suite.checks:
        if check.code in moving:
            low, high = moving[check.code]
            found |= {f"low_{_place(suite, check)}": low, f"high_{_place(suite, check)}": high}
    return found


def _result(suite: Suite, check: Check, item: Any, rows: int | None, moving: Bounds) -> Result:
    low, high = moving if check.moving else (check.low, check.high)
    result = Result(
        table=suite.table,
        layer=suite.layer,
        code=check.code,
        ok=item is not None and bool(item.success),
        severity=check.severity,
        checked=None if rows is None else int(rows),
        failing=None,
        unit=check.unit,
        low=low,
        high=high,
    )
    if item is None:
        return replace(result, detail="the check did not run")
    raised = item.exception_info or {}
    broken = bool(raised.get("raised_exception")) or any(
        isinstance(value, dict) and value.get("raised_exception") for value in raised.values()
    )
    if broken:
        return replace(result, detail="the check could not be evaluated")
    number = (item.result or {}).get("observed_value")
    if check.unit == "columns":
        return replace(result, failing=0 if result.ok else None)
    if check.unit == "rows":
        return replace(result, failing=None if number is None else int(number))
    return replace(result, observed=number)
