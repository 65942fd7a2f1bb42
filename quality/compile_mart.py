"""A mart's YAML as a suite: its columns in order, and each test that `data_tests` declares.

| test | holds when |
|---|---|
| `not_null` | no value is null |
| `unique`, `unique_together` {columns} | no row has the same values as another |
| `accepted_values` {values} | every value is one of these; nulls pass |
| `at_least` {value}, `at_most` {value}, `between` {min_value, max_value} | every value lies inside; nulls pass |
| `expression_is_true` {expression} | the SQL condition is not false in any row |
| `relationships` {to: ref('mart'), field} | every value is in that mart's column; nulls pass |
| `fresh` {within_s} | the newest time in the column is at most so many seconds old; an empty mart passes |
| `measure_between` {measure, min_value, max_value} | the SQL aggregate of the mart lies inside |
| `measure_steady` {measure, deviations} | the SQL aggregate lies near its own past |

Row tests take `share: 0.99`: that many of the rows must pass. Measures take `name`, and `min_rows` (100): with fewer
rows they say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from quality.errors import SuiteError
from quality.marts import Mart, Test
from quality.suites import Check, Suite, rows, unique
from schemas.rule_spark import string_literal

_REF = re.compile(r"ref\(['\"](\w+)['\"]\)")
# How many deviations from its past a measure may lie when nothing is said: one in some ten thousand runs is beyond.
DEVIATIONS = 6.0

MIN_ROWS = 100
"""Rows that a measure needs when nothing is said."""


def for_mart(mart: Mart, groups: Mapping[str, str] | None = None) -> Suite:
    """The suite of a mart. `groups` are the publish groups of all marts, for tests that look into another mart.

    Raises SuiteError for a test that cannot be compiled.
    """
    flags: dict[str, str] = {}
    checks = [_check(mart, test, groups or {}, flags) for test in mart.tests]
    columns = Check("COLUMNS", "columns")
    identity = next((check.keys for check in checks if check.keys), ())
    return Suite("gold", mart.name, (columns, *checks), tuple(mart.columns), flags, identity)


def _check(mart: Mart, test: Test, groups: Mapping[str, str], flags: dict[str, str]) -> Check:
    try:
        if test.kind == "relationships":
            return _relationship(mart, test, groups, flags)
        return KINDS[test.kind](test, test.arguments)
    except KeyError as error:
        known = test.kind in KINDS or test.kind == "relationships"
        raise SuiteError(
            f"check {test.kind} needs {error}" if known else f"the gate knows no check {test.kind}",
            where=f"mart {mart.name}",
            fix=f"use one of {', '.join(sorted([*KINDS, 'relationships']))}, or write a singular check in dbt/checks",
        ) from error


def _rows(test: Test, name: str, condition: str) -> Check:
    share = float(test.arguments.get("share", 1.0))
    return rows(f"{name}:{test.column}" if test.column else name, condition, test.severity, share)


def _accepted(test: Test, arguments: Mapping[str, Any]) -> Check:
    values = ", ".join(_literal(value) for value in arguments["values"])
    return _rows(test, "ACCEPTED", f"`{test.column}` is null or `{test.column}` in ({values})")


def _between(test: Test, arguments: Mapping[str, Any]) -> Check:
    low, high = arguments.get("min_value"), arguments.get("max_value")
    bounds = [f"`{test.column}` >= {_literal(low)}"] if low is not None else []
    bounds += [f"`{test.column}` <= {_literal(high)}"] if high is not None else []
    if not bounds:
        raise KeyError("min_value or max_value")
    return _rows(test, "BETWEEN", f"`{test.column}` is null or ({' and '.join(bounds)})")


def _enough(arguments: Mapping[str, Any]) -> str:
    """The measure; null while there are so few rows that it would tell what single ones hold."""
    measure = str(arguments["measure"])
    return f"case when count(*) >= {int(arguments.get('min_rows', MIN_ROWS))} then {measure} end"


def _measure(test: Test, arguments: Mapping[str, Any]) -> Check:
    return Check(
        f"MEASURE:{arguments.get('name', arguments['measure'])}",
        "value",
        _enough(arguments),
        arguments.get("min_value"),
        arguments.get("max_value"),
        test.severity,
    )


def _steady(test: Test, arguments: Mapping[str, Any]) -> Check:
    name = arguments.get("name", arguments["measure"])
    deviations = float(arguments.get("deviations", DEVIATIONS))
    return Check(f"STEADY:{name}", "value", _enough(arguments), severity=test.severity, moving=deviations)


def _fresh(test: Test, arguments: Mapping[str, Any]) -> Check:
    measure = f"unix_timestamp(current_timestamp()) - unix_timestamp(max(`{test.column}`))"
    return Check(f"FRESH:{test.column}", "value", measure, high=float(arguments["within_s"]), severity=test.severity)


KINDS: Mapping[str, Callable[[Test, Mapping[str, Any]], Check]] = {
    "not_null": lambda test, _: _rows(test, "NOT_NULL", f"`{test.column}` is not null"),
    "unique": lambda test, _: unique((test.column,), test.severity),
    "unique_together": lambda test, a: unique(tuple(a["columns"]), test.severity),
    "accepted_values": _accepted,
    "at_least": lambda test, a: _rows(
        test, "AT_LEAST", f"`{test.column}` is null or `{test.column}` >= {_literal(a['value'])}"
    ),
    "at_most": lambda test, a: _rows(
        test, "AT_MOST", f"`{test.column}` is null or `{test.column}` <= {_literal(a['value'])}"
    ),
    "between": _between,
    "expression_is_true": lambda test, a: _rows(
        test, f"TRUE:{a.get('name', a['expression'])}", f"coalesce({a['expression']}, true)"
    ),
    "fresh": _fresh,
    "measure_between": _measure,
    "measure_steady": _steady,
}


def _relationship(mart: Mart, test: Test, groups: Mapping[str, str], flags: dict[str, str]) -> Check:
    """A subquery, which no aggregate may hold, so it becomes a flag column first.

    A mart of the same group is looked at as it is to be published, one of another group as readers see it.
    """
    found = _REF.fullmatch(str(test.arguments["to"]).strip())
    if found is None or found[1] not in groups:
        raise SuiteError(
            "a relationship leads to a mart", where=f"mart {mart.name}, column {test.column}", fix="to: ref('dim_…')"
        )
    schema = "gold" if groups[found[1]] == mart.group else "published"
    field = str(test.arguments["field"])
    flag = f"_known_{test.column}"
    flags[flag] = (
        f"`{test.column}` is null or "
        f"`{test.column}` in (select `{field}` from {schema}.{found[1]} where `{field}` is not null)"
    )
    return _rows(test, "KNOWN", f"`{flag}`")


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else string_literal(str(value))
