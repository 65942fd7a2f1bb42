"""Which rows broke a check: their identity, never what they hold. Few of them, and only of critical failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from quality.results import Result
from quality.suites import Check, Suite

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LIMIT = 20
"""Rows that are named of one failure; `failing` says how many there are."""


def attach(suite: Suite, frame: DataFrame, found: tuple[Result, ...]) -> tuple[Result, ...]:
    """The results, those of critical failures with the identity of some failing rows. One query a failure."""
    by_code = {check.code: check for check in suite.checks}
    return tuple(
        replace(result, rows=_rows(suite, by_code[result.code], frame))
        if result.blocks and not result.detail
        else result
        for result in found
    )


def _rows(suite: Suite, check: Check, frame: DataFrame) -> tuple[Mapping[str, str], ...]:
    """Identities of failing rows; none when no single row is to blame, as for a mean."""
    columns = check.keys or suite.identity
    if check.keys:
        failing = frame.groupBy(*columns).count().where("`count` > 1")
    elif check.failing and columns:
        failing = frame.where(check.failing)
    else:
        return ()
    texts = failing.orderBy(*columns).selectExpr(*(f"cast(`{column}` as string) as `{column}`" for column in columns))
    return tuple(row.asDict() for row in texts.limit(LIMIT).collect())
