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


def query(suite: Suite, check: Check, table: str) -> str | None:
    """SQL that names failing rows of a table or view; None when no single row is to blame."""
    columns = check.keys or suite.identity
    if not columns:
        return None
    listed = ", ".join(f"`{column}`" for column in columns)
    texts = ", ".join(f"cast(`{column}` as string) as `{column}`" for column in columns)
    if check.keys:
        return f"select {texts} from {table} group by {listed} having count(*) > 1 order by {listed} limit {LIMIT}"
    if check.failing:
        return f"select {texts} from {table} where {check.failing} order by {listed} limit {LIMIT}"
    return None


def _rows(suite: Suite, check: Check, frame: DataFrame) -> tuple[Mapping[str, str], ...]:
    sql = query(suite, check, "{checked}")
    return () if sql is None else tuple(row.asDict() for row in frame.sparkSession.sql(sql, checked=frame).collect())
