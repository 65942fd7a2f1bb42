"""Checks compiled from contracts and from the marts' YAML. Pure values; `gate` turns them into expectations.

Column checks become aggregates over one pass of a table. A contract's row rules are compiled to Spark by `schemas` and
become flag columns of the frame that the gate looks at, so that rules of any form cost the same one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from quality.errors import SuiteError
from quality.marts import Mart, Severity, Test
from schemas.contract import Contract
from schemas.rules import compile_spark
from schemas.tables import column_of

Kind = Literal["columns", "not_null", "accepted_values", "at_least", "at_most", "unique_together", "holds"]


@dataclass(frozen=True)
class Check:
    """One check of one table. `code` is stable and names what it is about: `NOT_NULL:tenant_id`, `RULE:NEG_TOTAL`."""

    code: str
    kind: Kind
    columns: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    severity: Severity = "critical"


@dataclass(frozen=True)
class Suite:
    """All checks of one table. `flags` are Spark expressions by name: columns that the checked frame gets besides."""

    layer: Literal["gold", "silver"]
    table: str
    checks: tuple[Check, ...]
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.table}"


def for_mart(mart: Mart) -> Suite:
    """The suite of a mart: its columns in order, and its declared tests.

    Raises SuiteError for a test that cannot be compiled.
    """
    checks = [
        Check("COLUMNS", "columns", arguments={"names": tuple(mart.columns)}),
        *(_declared(mart, test) for test in mart.tests),
    ]
    return Suite("gold", mart.name, tuple(checks))


def for_contract(contract: Contract) -> Suite:
    """The suite of what a cycle takes from a silver table: identity is there, and every row rule holds."""
    needed = dict.fromkeys((contract.tenant, contract.event_id, *contract.key, contract.event_time))
    checks: list[Check] = []
    flags: dict[str, str] = {}
    for name in needed:
        column = column_of(contract, name)
        flags[f"has_{name}"] = f"`{column}` is not null"
        checks.append(Check(f"NOT_NULL:{name}", "holds", (f"has_{name}",)))
    for rule in contract.quality:
        flag = f"rule_{rule.code.lower()}"
        flags[flag] = compile_spark(rule, contract)
        severity: Severity = "critical" if rule.on_fail == "reject" else "warning"
        checks.append(Check(f"RULE:{rule.code}", "holds", (flag,), severity=severity))
    return Suite("silver", contract.table, tuple(checks), flags)


def for_all(contracts: Iterable[Contract], marts: Iterable[Mart]) -> dict[str, Suite]:
    """All suites by `layer.table`."""
    suites = [*(for_contract(contract) for contract in contracts), *(for_mart(mart) for mart in marts)]
    return {suite.name: suite for suite in suites}


def _declared(mart: Mart, test: Test) -> Check:
    if test.kind == "unique_together":
        columns = tuple(test.arguments["columns"])
        return Check(f"UNIQUE:{'+'.join(columns)}", "unique_together", columns, severity=test.severity)
    if test.kind == "not_null":
        return Check(f"NOT_NULL:{test.column}", "not_null", (test.column,), severity=test.severity)
    if test.kind == "accepted_values":
        return Check(
            f"ACCEPTED:{test.column}",
            "accepted_values",
            (test.column,),
            {"values": tuple(test.arguments["values"])},
            test.severity,
        )
    if test.kind == "at_least":
        value = test.arguments["value"]
        return Check(f"AT_LEAST:{test.column}", "at_least", (test.column,), {"value": value}, test.severity)
    if test.kind == "at_most":
        value = test.arguments["value"]
        return Check(f"AT_MOST:{test.column}", "at_most", (test.column,), {"value": value}, test.severity)
    raise SuiteError(
        f"the gate knows no check {test.kind}",
        where=f"mart {mart.name}",
        fix="use not_null, accepted_values, at_least, at_most or unique_together, or a singular check in dbt/checks",
    )
