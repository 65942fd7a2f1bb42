"""The gate: each suite as a Great Expectations checkpoint on a Spark frame; the verdict is the checkpoint's own.

Results carry counts only: no sample of a failing row is ever collected. Expectations are made once and held; a frame
is handed to them at each run.
"""

from __future__ import annotations

import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

from quality.results import Result
from quality.suites import Check, Suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A verdict for each check in one pass of the table; asking for more costs a query for each check.
VERDICTS: dict[str, object] = {"result_format": "BOOLEAN_ONLY"}
# Counts for the evidence of a failure, but neither samples nor the query that would find them.
COUNTS: dict[str, object] = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
}


class Gate:
    """A held Great Expectations context with one checkpoint a suite."""

    def __init__(self) -> None:
        # Read by the library when it is imported.
        os.environ["GX_ANALYTICS_ENABLED"] = "false"
        with warnings.catch_warnings():
            # What the library imports warns about modules that Python will drop; none of it is ours.
            warnings.simplefilter("ignore")
            import great_expectations as gx
            from great_expectations.data_context.types.base import ProgressBarsConfig

        # This one sets its own level and tells of a temporary folder.
        for name in ("great_expectations", "great_expectations.data_context.types.base"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._gx = gx
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False)
        # The frames are small slices of tables, looked at once: caching them would only fill the heap.
        self._source = self._context.data_sources.add_spark("lake", persist=False)
        self._held: dict[str, tuple[Suite, tuple[Any, Any]]] = {}
        self._made = 0

    def run(self, suite: Suite, frame: DataFrame, rows: int | None = None) -> tuple[Result, ...]:
        """Run one suite on one frame of `rows` rows (None: not known). Failing rows are counted when a check failed.

        A check that breaks counts as failed, and says so.
        """
        checked = frame
        if suite.flags:
            checked = frame.selectExpr(*(f"{sql} as {name}" for name, sql in suite.flags.items()))
        quick, counting = self._checkpoints(suite)
        outcome = quick.run(batch_parameters={"dataframe": checked})
        if not outcome.success:
            outcome = counting.run(batch_parameters={"dataframe": checked})
        [validated] = outcome.run_results.values()
        by_code = {item.expectation_config.meta["code"]: item for item in validated.results}
        results = tuple(_result(suite, check, by_code.get(check.code), rows) for check in suite.checks)
        if bool(outcome.success) != all(result.ok for result in results):
            raise AssertionError(f"suite {suite.name}: the checkpoint and its results disagree")
        return results

    def _checkpoints(self, suite: Suite) -> tuple[Any, Any]:
        """The suite's two checkpoints: for the verdict, and for the counts of a failure."""
        held = self._held.get(suite.name)
        if held is not None and held[0] == suite:
            return held[1]
        gx = self._gx
        # A changed suite gets a new name: the context keeps objects by name.
        self._made += 1
        name = f"{suite.name}#{self._made}"
        batch = self._source.add_dataframe_asset(name=name).add_batch_definition_whole_dataframe("frame")
        expectations = self._context.suites.add(
            gx.ExpectationSuite(name=name, expectations=[self._expectation(check) for check in suite.checks])
        )
        validation = self._context.validation_definitions.add(
            gx.ValidationDefinition(name=name, data=batch, suite=expectations)
        )
        made = [
            self._context.checkpoints.add(
                gx.Checkpoint(name=f"{name}:{kind}", validation_definitions=[validation], result_format=wanted)
            )
            for kind, wanted in (("verdicts", VERDICTS), ("counts", COUNTS))
        ]
        self._held[suite.name] = (suite, (made[0], made[1]))
        return made[0], made[1]

    def _expectation(self, check: Check) -> Any:
        e = self._gx.expectations
        common: dict[str, Any] = {"meta": {"code": check.code}, "severity": check.severity}
        match check.kind:
            case "columns":
                return e.ExpectTableColumnsToMatchOrderedList(column_list=list(check.arguments["names"]), **common)
            case "not_null":
                return e.ExpectColumnValuesToNotBeNull(column=check.columns[0], **common)
            case "accepted_values":
                values = list(check.arguments["values"])
                return e.ExpectColumnValuesToBeInSet(column=check.columns[0], value_set=values, **common)
            case "at_least":
                return e.ExpectColumnValuesToBeBetween(
                    column=check.columns[0], min_value=check.arguments["value"], **common
                )
            case "at_most":
                return e.ExpectColumnValuesToBeBetween(
                    column=check.columns[0], max_value=check.arguments["value"], **common
                )
            case "unique_together":
                return e.ExpectCompoundColumnsToBeUnique(column_list=list(check.columns), **common)
            case "holds":
                return e.ExpectColumnValuesToBeInSet(column=check.columns[0], value_set=[True], **common)


def _result(suite: Suite, check: Check, item: Any, rows: int | None) -> Result:
    if item is None:
        return Result(suite.table, suite.layer, check.code, False, check.severity, rows, None, "the check did not run")
    found = item.result or {}
    raised = item.exception_info or {}
    broken = bool(raised.get("raised_exception")) or any(
        isinstance(value, dict) and value.get("raised_exception") for value in raised.values()
    )
    return Result(
        suite.table,
        suite.layer,
        check.code,
        bool(item.success),
        check.severity,
        rows if rows is not None else found.get("element_count"),
        0 if item.success else found.get("unexpected_count"),
        "the check could not be evaluated" if broken else "",
    )
