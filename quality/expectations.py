"""Great Expectations' vocabulary, with one word more: a measure of a whole table, as an SQL aggregate, inside bounds.

The library gathers the aggregates of all expectations of a suite into one query. Its own expectations of single values
ask for a query each as soon as somebody wants counts; a measure brings its number along.

Imported late, by the gate: the library is large.
"""

from typing import Any, Union

from great_expectations.compatibility.pyspark import functions as F
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.core.suite_parameters import SuiteParameterDict
from great_expectations.execution_engine import SparkDFExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

MEASURE = "caudal.measure"


class Measure(TableMetricProvider):  # type: ignore[misc]
    """An SQL aggregate over the checked frame."""

    metric_name = MEASURE
    value_keys = ("measure",)

    @metric_partial(  # type: ignore[untyped-decorator]
        engine=SparkDFExecutionEngine,
        partial_fn_type=MetricPartialFunctionTypes.AGGREGATE_FN,
        domain_type=MetricDomainTypes.TABLE,
    )
    def _spark(
        cls,
        execution_engine: Any,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> Any:
        return F.expr(metric_value_kwargs["measure"]), metric_domain_kwargs, {}


class ExpectMeasureToBeBetween(BatchExpectation):  # type: ignore[misc]
    """The measure lies between the bounds; a bound that is None does not bind, and neither does a measure that is null
    (no rows, or too few to say anything)."""

    measure: str
    min_value: Union[float, SuiteParameterDict, None] = None  # noqa: UP007 (read by pydantic 1)
    max_value: Union[float, SuiteParameterDict, None] = None  # noqa: UP007

    metric_dependencies = (MEASURE,)
    domain_keys = ("row_condition", "condition_parser")
    success_keys = ("measure", "min_value", "max_value")
    args_keys = ("measure", "min_value", "max_value")

    def _validate(
        self, metrics: dict[str, Any], runtime_configuration: Any = None, execution_engine: Any = None
    ) -> dict[str, Any]:
        found = metrics[MEASURE]
        bounds = self._get_success_kwargs()
        low, high = bounds.get("min_value"), bounds.get("max_value")
        number = None if found is None else float(found)
        inside = number is None or ((low is None or number >= low) and (high is None or number <= high))
        return {"success": inside, "result": {"observed_value": number}}
