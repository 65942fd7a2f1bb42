"""A contract as a suite for what a cycle takes from its silver table: identity is there, masks have their form, row
rules hold, and the measures that the contract bounds lie inside."""

from __future__ import annotations

from collections.abc import Mapping

from quality.suites import Check, Suite, rows
from schemas.contract import Contract, Measure
from schemas.rules import compile_spark
from schemas.tables import column_of, silver_columns

KEPT = 0.99
"""The share of rows that must keep a promised latency."""
IDENTITY = ("_topic", "_partition", "_offset")
"""A silver row's coordinates: they name it, and say nothing about anybody."""


def for_contract(contract: Contract, masks: Mapping[str, str] | None = None) -> Suite:
    """The suite of one contract's silver table. `masks` are the exact forms of masks, as patterns by class."""
    checks = [
        Check("ROWS", "value", "count(*)"),
        *_identity(contract),
        *_masks(contract, masks or {}),
        *_rules(contract),
        *_measures(contract),
        *_latency(contract),
    ]
    flags = {f"_known_{m.code.lower()}": _known(contract, m) for m in contract.measures if m.metric == "known"}
    return Suite("silver", contract.table, tuple(checks), flags=flags, identity=IDENTITY)


def _identity(contract: Contract) -> list[Check]:
    needed = dict.fromkeys((contract.tenant, contract.event_id, *contract.key, contract.event_time))
    return [rows(f"NOT_NULL:{name}", f"`{column_of(contract, name)}` is not null") for name in needed]


def _masks(contract: Contract, masks: Mapping[str, str]) -> list[Check]:
    """Every text of a personal field has the form of its class, in every element of an array."""
    form = {item.name: masks[item.cls] for item in contract.pii_fields if item.cls in masks}
    found = [column for column in silver_columns(contract) if column.role == "mask" and column.field in form]
    return [
        rows(
            f"MASK:{column.name}",
            f"`{column.name}` is null or "
            + (
                f"forall(`{column.name}`, one -> one is null or one rlike '{form[column.field or '']}')"
                if column.spark_type.startswith("ARRAY")
                else f"`{column.name}` rlike '{form[column.field or '']}'"
            ),
        )
        for column in found
    ]


def _rules(contract: Contract) -> list[Check]:
    return [
        rows(
            f"RULE:{rule.code}",
            compile_spark(rule, contract),
            "critical" if rule.on_fail == "reject" else "warning",
        )
        for rule in contract.quality
    ]


def _measures(contract: Contract) -> list[Check]:
    return [
        Check(
            f"MEASURE:{measure.code}",
            "share" if measure.metric in ("nulls", "known") else "value",
            _measure_sql(contract, measure),
            measure.low,
            measure.high,
            "critical" if measure.on_fail == "reject" else "warning",
            moving=measure.steady,
        )
        for measure in contract.measures
    ]


def _latency(contract: Contract) -> list[Check]:
    """The share of rows that reach the gate within the promised latency; shown and reported, never in the way."""
    promised = contract.promised_s("latency")
    if promised is None:
        return []
    age = "unix_millis(current_timestamp()) - unix_millis(_published_at)"
    measure = f"avg(cast({age} <= {int(promised * 1000)} as int))"
    return [Check("LATENCY", "share", measure, low=KEPT, severity="warning")]


def _measure_sql(contract: Contract, measure: Measure) -> str:
    """The aggregate; null while there are fewer rows than the measure asks for."""
    if measure.metric == "rowCount":
        return "count(*)"
    column = f"`{column_of(contract, measure.field)}`"
    match measure.metric:
        case "mean":
            sql = f"avg({column})"
        case "nulls":
            sql = f"avg(cast({column} is null as int))"
        case "known":
            sql = f"avg(cast(`_known_{measure.code.lower()}` as int))"
        case _:
            sql = f"percentile_approx({column}, {int(measure.metric.removeprefix('p')) / 100})"
    return f"case when count(*) >= {measure.min_rows} then {sql} end"


def _known(contract: Contract, measure: Measure) -> str:
    """Whether the row's value is in another silver table, at the version that the cycle reads."""
    column = f"`{column_of(contract, measure.field)}`"
    table, _, field = measure.of.rpartition(".")
    other = f"pinned.{table.replace('.', '_')}"
    return f"{column} is null or {column} in (select `{field}` from {other} where `{field}` is not null)"
