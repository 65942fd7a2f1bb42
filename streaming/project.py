"""Decoded records as silver's columns, all but `_version`: fields, masks, refs, tokens, origin, coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, reduce
from typing import TYPE_CHECKING

from schemas.contract import Contract
from schemas.tables import DELETED_AT, SET_BY, silver_columns
from schemas.tables import Column as TableColumn
from streaming import deletes, truncates
from streaming.fit import fit
from streaming.remembered import remembered
from streaming.writers import Writer

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

_META: Mapping[str, str] = {
    "_origin_source": "_decoded.record.origin.source",
    "_origin_run": "_decoded.record.origin.run",
    "_origin_position": "_decoded.record.origin.position",
    "_topic": "topic",
    "_partition": "partition",
    "_offset": "offset",
    "_kafka_time": "kafka_time",
    "_schema_id": "schema_id",
    "_batch": "_batch",
    "_suppressed": "false",
    "_warnings": "CAST(NULL AS ARRAY<STRING>)",
}


def projected(frame: DataFrame, contract: Contract, writers: Sequence[Writer]) -> DataFrame:
    """Rows with raw's value as `_bytes`, `_decoded`, and silver's columns except `_version`.

    A contract may have fields called `value` or `headers`, so raw's own names stay behind.
    A null value in upsert and cdc becomes a row with its key, sequence, event id and `_deleted_at`; the rest is null.
    `_warnings` are filled by `check`.
    """
    from pyspark.sql import functions as F

    # What a decoded record has depends on the contract alone.
    out = remembered(contract, ("projected", tuple(writers)), lambda: _columns(frame, contract, writers))
    return frame.select(F.col("value").alias("_bytes"), "_decoded", *out)


def _columns(frame: DataFrame, contract: Contract, writers: Sequence[Writer]) -> list[Column]:
    from pyspark.sql import functions as F

    columns = [column for column in silver_columns(contract) if column.name != "_version"]
    removed = deletes.parsed(contract, {c.name: c.spark_type for c in columns}) if contract.mode != "append" else {}
    out = []
    for column in columns:
        value = _value(frame, contract, column, writers)
        if truncates.sweeps(contract) and column.field in contract.key and column.field != contract.tenant:
            event_id = F.col(f"_decoded.record.`{contract.event_id}`")
            truncated = F.col(f"_decoded.record.{truncates.OP}") == "t"
            value = F.when(truncated, truncates.own_key(column.spark_type, event_id)).otherwise(value)
        if column.name in removed:
            value = F.when(F.col("value").isNull(), F.expr(removed[column.name])).otherwise(value)
        out.append(value.alias(column.name))
    return out


def _value(frame: DataFrame, contract: Contract, column: TableColumn, writers: Sequence[Writer]) -> Column:
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, StructType

    record = frame.schema["_decoded"].dataType["record"].dataType
    assert isinstance(record, StructType)
    name = column.field
    if column.name in _META:
        return F.expr(_META[column.name]).cast(column.spark_type)
    if column.role == "token":
        return _tokens(contract, record.names)
    if column.role in ("field", "mask", "ref"):
        if name not in record.names or not column.live:
            return F.lit(None).cast(column.spark_type)
        value, kind = F.col(f"_decoded.record.`{name}`"), record[name].dataType
        if column.role == "mask":
            return F.transform(value, lambda item: item["mask"]) if isinstance(kind, ArrayType) else value["mask"]
        return fit(value, kind, _parsed(column.spark_type))
    return _derived(contract, column, writers)


def _derived(contract: Contract, column: TableColumn, writers: Sequence[Writer]) -> Column:
    from pyspark.sql import functions as F

    observed = F.col("_decoded.record.origin.observed_at")
    match column.name:
        case "_observed_at":
            return observed
        case "_published_at":
            # A delete has no body; the producer's clock is the record's own time then.
            return F.coalesce(F.col("_decoded.record.origin.published_at"), F.col("kafka_time"))
        case "_contract_version":
            numbered = [(w.schema_id, w.version) for w in writers if w.version is not None]
            arms = " ".join(f"WHEN {i} THEN {v}" for i, v in numbered)
            return F.expr(f"CAST(CASE schema_id {arms} END AS INT)" if arms else "CAST(NULL AS INT)")
        case "_late":
            lateness = int(contract.lateness.total_seconds() * 1000)
            event = F.col(f"_decoded.record.`{contract.event_time}`")
            return F.coalesce(F.unix_millis(observed) - F.unix_millis(event) > lateness, F.lit(False))
        case DELETED_AT.name:
            gone = F.col("value").isNull()
            if contract.mode == "cdc":
                when = F.when(F.col(f"_decoded.record.{truncates.OP}").isin("d", "t"), observed)
            else:
                when = F.lit(None).cast("timestamp")
            return F.when(gone, F.expr(deletes.parsed(contract, _no_types(contract))["_observed_at"])).otherwise(when)
        case name if name == SET_BY:
            return F.create_map().cast(column.spark_type)
    raise AssertionError(f"silver column {column.name} has no source")


def _tokens(contract: Contract, present: Sequence[str]) -> Column:
    """All tokens in one map: field name, or name[i] for arrays. Null fields have no entry."""
    from pyspark.sql import functions as F

    entries = [F.lit(None).cast("array<struct<key:string,value:binary>>")]
    single: list[tuple[str, Column]] = []
    for pii in contract.pii_fields:
        if pii.name not in present or pii.name in contract.except_column_list:
            continue
        value = F.col(f"_decoded.record.`{pii.name}`")
        if pii.is_array:
            entries.append(
                F.transform(
                    value,
                    lambda item, i, name=pii.name: F.struct(
                        F.concat(F.lit(f"{name}["), i.cast("string"), F.lit("]")).alias("key"),
                        item["token"].alias("value"),
                    ),
                )
            )
        else:
            single.append((pii.name, value))
            pair = F.struct(F.lit(pii.name).alias("key"), value["token"].alias("value"))
            entries.append(F.when(value.isNotNull(), F.array(pair)))
    nothing = F.array().cast("array<struct<key:string,value:binary>>")
    mixed = F.map_from_entries(F.flatten(F.array(*[F.coalesce(entry, nothing) for entry in entries])))
    if len(single) + 1 < len(entries) or not single:
        return mixed
    # The common case, and far less work: every field is there, and none is a list.
    whole = reduce(lambda a, b: a & b, [value.isNotNull() for _, value in single])
    pairs = [part for name, value in single for part in (F.lit(name), value["token"])]
    return F.when(whole, F.create_map(*pairs)).otherwise(mixed)


def _no_types(contract: Contract) -> dict[str, str]:
    return dict.fromkeys((*contract.key, *contract.sequence), "STRING")


@cache
def _parsed(spark_type: str) -> DataType:
    from pyspark.sql.types import _parse_datatype_string

    return _parse_datatype_string(spark_type)
