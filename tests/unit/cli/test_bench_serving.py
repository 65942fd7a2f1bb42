"""The parts of `caudal bench serving` that decide what is asked and what is said."""

from __future__ import annotations

from collections import Counter

from caudal.cli.bench.serving import Cost, Plan, answer
from caudal.cli.bench.serving_lake import tenant
from caudal.cli.bench.serving_load import Timed, first
from serving.api.ask import from_parameters
from serving.api.query import Bounds, Column, plan

COLUMNS = (
    Column("tenant_id", "text"),
    Column("order_id", "text"),
    Column("status", "text"),
    Column("region", "text"),
    Column("total", "decimal"),
    Column("items", "integer"),
    Column("updated_at", "time"),
)


def test_questions_are_uniform_varied_and_repeatable() -> None:
    """Tenants are drawn evenly, the same seed asks the same, and the API takes every question."""
    asked = first(20_000, 10, seed=1)
    assert asked == first(20_000, 10, seed=1)
    drawn = Counter(question.tenant for question in asked)
    assert set(drawn) == {tenant(n) for n in range(10)}
    assert max(drawn.values()) < 1.2 * min(drawn.values())
    assert len({question.parameters for question in asked}) > 1000
    for question in asked[:200]:
        plan(from_parameters(question.parameters), COLUMNS, Bounds(100, 1000))


def test_the_answer_says_what_was_not_measured() -> None:
    """Without DuckDB its numbers are null and a word says why; a refused request makes the run fail."""
    times = [Timed(200, float(ms)) for ms in range(1, 101)]
    found = answer(Plan(1000, 10, 100, 1), times, times, Cost(2.0, 0.5, 99.6), None, {"a"})
    assert (found["ok"], found["p50_ms"], found["p99_ms"], found["rps"], found["cpu_ms"]) == (
        True,
        50.5,
        99.0,
        50.0,
        5.0,
    )
    assert (found["duckdb_p99_ms"], found["duckdb"]) == (None, "the package duckdb is not installed")
    assert (found["rows"], found["peak_mib"]) == (1000, 100)
    failed = answer(Plan(1000, 10, 100, 1), times, [*times, Timed(429, 1.0)], Cost(2.0, 0.5, 99.6), [1.0, 2.0], {"a"})
    assert (failed["ok"], failed["failed"], failed["duckdb_p50_ms"]) == (False, 1, 1.5)
