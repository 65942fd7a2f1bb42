"""Checks compiled from contracts and from the marts' YAML. Pure values; `gate` turns them into expectations.

Every check is one SQL aggregate with bounds, so that all checks of a table cost one pass of it. A contract's row rules
are compiled to Spark by `schemas`, so that rules of any form cost the same one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from quality.marts import Mart, Severity
from schemas.contract import Contract

Unit = Literal["rows", "share", "value", "columns"]
"""What a check's number counts: rows that fail (none may), a share of rows, a value of its own, or columns."""


@dataclass(frozen=True)
class Check:
    """One check of one table: `measure`, an SQL aggregate, lies between `low` and `high`.

    `code` is stable and names what it is about: `NOT_NULL:tenant_id`, `RULE:NEG_TOTAL`. `failing` is an SQL condition
    that finds the rows which broke it, `keys` the columns that may not repeat; both only for the evidence. `moving` is
    the number of deviations that the measure may lie away from its own past; 0: its past does not matter.
    """

    code: str
    unit: Unit
    measure: str = ""
    low: float | None = None
    high: float | None = None
    severity: Severity = "critical"
    failing: str = ""
    keys: tuple[str, ...] = ()
    moving: float = 0.0


@dataclass(frozen=True)
class Suite:
    """All checks of one table.

    `columns` are those that the table has, in order (none: not checked). `flags` are Spark expressions by name that the
    checked frame gets as columns, for what an aggregate cannot ask. `identity` are the columns that name a row.
    """

    layer: Literal["gold", "silver"]
    table: str
    checks: tuple[Check, ...]
    columns: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    identity: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.table}"


def rows(code: str, condition: str, severity: Severity = "critical", share: float = 1.0) -> Check:
    """The condition holds in every row, or in at least this share of them. An unknown (null) condition has failed."""
    failing = f"not coalesce({condition}, false)"
    if share >= 1.0:
        return Check(code, "rows", f"count_if({failing})", high=0, severity=severity, failing=failing)
    measure = f"1 - avg(cast({failing} as int))"
    return Check(code, "share", measure, low=share, severity=severity, failing=failing)


def unique(columns: tuple[str, ...], severity: Severity = "critical") -> Check:
    """The columns identify a row; null counts as a value."""
    listed = ", ".join(f"`{column}`" for column in columns)
    measure = f"count(*) - count(distinct struct({listed}))"
    return Check(f"UNIQUE:{'+'.join(columns)}", "rows", measure, high=0, severity=severity, keys=columns)


def for_all(
    contracts: Iterable[Contract], marts: Iterable[Mart], masks: Mapping[str, str] | None = None
) -> dict[str, Suite]:
    """All suites by `layer.table`; `masks` are the forms of masks by class.

    Raises SuiteError for a test that cannot be compiled.
    """
    from quality.compile_contract import for_contract
    from quality.compile_mart import for_mart

    listed = list(marts)
    groups = {mart.name: mart.group for mart in listed}
    suites = [*(for_contract(contract, masks) for contract in contracts), *(for_mart(mart, groups) for mart in listed)]
    return {suite.name: suite for suite in suites}
