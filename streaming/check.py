"""Step 6: one expression over each row that says fine, or the first reason why not, with the field or rule at fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from privacy.masks import mask_sql
from schemas import rules
from schemas.contract import Contract
from schemas.rule_spark import quoted
from schemas.tables import silver_columns
from streaming import truncates
from streaming.decode import HEADER_BYTES, unread
from streaming.remembered import remembered
from streaming.settings import StreamingSettings
from streaming.writers import Resolved

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Failure = tuple[str, str, str]
"""SQL condition that is true for a bad row (null counts as false), code, path."""


def checked(rows: DataFrame, contract: Contract, verdicts: Mapping[int, Resolved], own: StreamingSettings) -> DataFrame:
    """Rows of `project` with `_code` and `_path` (null when fine), `_warnings`, and no helpers."""
    what = ("checked", tuple(sorted(verdicts.items(), key=lambda item: item[0])), own.max_message_bytes, own.future_s)
    failed, columns = remembered(contract, what, lambda: _columns(contract, verdicts, own))
    return rows.withColumn("_failed", failed).select(*columns)


def _columns(
    contract: Contract, verdicts: Mapping[int, Resolved], own: StreamingSettings
) -> tuple[Column, list[Column]]:
    from pyspark.sql import functions as F

    failures = [*framing(contract, verdicts, own), *_content(contract, own)]
    names = [column.name for column in silver_columns(contract) if column.name != "_version"]
    replaced = {"_warnings": F.expr(_warnings(contract))}
    return F.expr(_first(failures)), [
        *[replaced[name].alias(name) if name in replaced else F.col(f"`{name}`") for name in names],
        F.col("_failed.code").alias("_code"),
        F.col("_failed.path").alias("_path"),
    ]


def framing(contract: Contract, verdicts: Mapping[int, Resolved], own: StreamingSettings) -> list[Failure]:
    """What is wrong before a body is read; for rows with raw's `_bytes` and silver's columns."""
    bad: list[Failure] = []
    if contract.mode == "append":
        bad.append(("_bytes IS NULL", "CDL-NULL", ""))
    else:
        needed = (*contract.key, contract.event_id, *contract.sequence, "_observed_at")
        missing = " OR ".join(f"{quoted(name)} IS NULL" for name in dict.fromkeys(needed))
        bad.append((f"_bytes IS NULL AND ({missing})", "CDL-NULL", "headers"))
    bad.append((f"length(_bytes) > {own.max_message_bytes}", "CDL-TOO-LARGE", ""))
    bad.append(("length(_bytes) = 0 OR substring(_bytes, 1, 1) <> X'00'", "CDL-MAGIC", ""))
    bad.append((f"length(_bytes) < {HEADER_BYTES}", "CDL-GARBAGE", ""))
    # A negative id: no registry gives one.
    bad.append(("_bytes IS NOT NULL AND _schema_id IS NULL", "CDL-MAGIC", ""))
    for schema_id, found in sorted(verdicts.items()):
        if found.verdict == "incompatible":
            bad.append((f"_schema_id = {schema_id}", "CDL-INCOMPATIBLE", ""))
        if found.verdict == "plaintext":
            bad.append((f"_schema_id = {schema_id}", "CDL-PLAINTEXT", found.path or ""))
    return bad


def _content(contract: Contract, own: StreamingSettings) -> list[Failure]:
    live = {c.field: c for c in silver_columns(contract) if c.field and c.live}
    read = f"_bytes IS NOT NULL AND ({unread()})"
    bad: list[Failure] = [(f"{read} = '{code}'", code, "") for code in ("CDL-GARBAGE", "CDL-TRAILING")]
    for pii in contract.pii_fields:
        if pii.name in live:
            column = quoted(live[pii.name].name)
        elif pii.name in contract.except_column_list:
            # Not stored, yet raw holds it: a value in clear is found all the same.
            field = f"_decoded.record.{quoted(pii.name)}"
            column = f"transform({field}, s -> s.mask)" if pii.is_array else f"{field}.mask"
        else:
            continue
        wrong = (
            f"exists({column}, m -> NOT (m <=> ({mask_sql(pii.cls, 'm')})))"
            if pii.is_array
            else f"NOT ({column} <=> ({mask_sql(pii.cls, column)}))"
        )
        bad.append((wrong, "CDL-PLAINTEXT", pii.name))
    sequence = () if contract.mode == "append" else contract.sequence
    for name in dict.fromkeys((contract.tenant, contract.event_id, *contract.key, *sequence, contract.event_time)):
        tenant_of_delete = name == contract.tenant and contract.mode != "append"
        unless = " AND _bytes IS NOT NULL" if tenant_of_delete else ""
        bad.append((f"{quoted(live[name].name)} IS NULL{unless}", "CDL-NO-FIELD", name))
    event_time = quoted(live[contract.event_time].name)
    bad.append(
        (
            f"unix_millis({event_time}) - unix_millis(_observed_at) > {own.future_s * 1000}",
            "CDL-FUTURE",
            contract.event_time,
        )
    )
    unless_truncate = f" AND NOT ({truncates.IS_TRUNCATE})" if contract.mode == "cdc" else ""
    for rule in contract.quality:
        if rule.on_fail == "reject":
            # A delete and a truncate have no fields that a rule could judge.
            broken = f"_bytes IS NOT NULL{unless_truncate} AND NOT ({rules.compile_spark(rule, contract)})"
            bad.append((broken, rule.dead_letter_code, rule.code))
    if truncates.sweeps(contract):
        bad.append((truncates.reserved(contract), "CDL-TRUNCATE", "_op"))
    return bad


def _first(failures: list[Failure]) -> str:
    arms = " ".join(
        f"WHEN {condition} THEN named_struct('code', '{code}', 'path', {_text(path)})"
        for condition, code, path in failures
    )
    return f"CASE {arms} END"


def _warnings(contract: Contract) -> str:
    warned = [
        f"CASE WHEN _bytes IS NOT NULL AND NOT ({rules.compile_spark(rule, contract)}) THEN '{rule.code}' END"
        for rule in contract.quality
        if rule.on_fail == "warn"
    ]
    if not warned:
        return "CAST(array() AS ARRAY<STRING>)"
    return f"filter(array({', '.join(warned)}), w -> w IS NOT NULL)"


def _text(path: str) -> str:
    return f"'{path}'" if path else "CAST(NULL AS STRING)"
