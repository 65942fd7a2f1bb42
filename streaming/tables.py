"""Tables that streaming owns, made by DDL; silver's columns change only here, by planned ALTERs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deltalake import DeltaTable

from caudal.lake import Lake
from schemas import evolution, tables, tracked
from schemas.contract import Contract
from schemas.tables import Column

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RAW = ("raw", "events")
RAW_SCHEMAS = ("raw", "schemas")
DEAD_LETTERS = ("quarantine", "dead_letters")
RESOLUTIONS = ("quarantine", "resolutions")
LEDGER = ("ops", "ledger")
PARKED = ("ops", "parked")
GAPS = ("ops", "gaps")
PURGES = ("ops", "purges")

GAPS_COLUMNS: tuple[Column, ...] = (
    Column("topic", "STRING"),
    Column("partition", "INT"),
    Column("first", "BIGINT"),
    Column("end", "BIGINT"),
    Column("why", "STRING"),
    Column("by", "STRING"),
    Column("at", "TIMESTAMP"),
)
"""Offsets [first, end) that Kafka lost before raw had read them, and who accepted that."""

PARKED_COLUMNS: tuple[Column, ...] = (
    Column("contract", "STRING"),
    Column("first_batch", "BIGINT"),
    Column("batch", "BIGINT"),
    Column("schema_id", "INT"),
    Column("records", "BIGINT"),
    Column("at", "TIMESTAMP"),
    Column("silver_version", "BIGINT"),
)
"""A journal: `records` of a schema id began to wait (positive) or were decided (negative)."""

_FIXED: tuple[tuple[tuple[str, str], tuple[Column, ...], tuple[str, ...], Mapping[str, str]], ...] = (
    (RAW, tables.RAW_EVENTS, ("ingest_date",), tables.RAW_PROPERTIES),
    (RAW_SCHEMAS, tables.RAW_SCHEMAS, (), tables.TABLE_PROPERTIES),
    (DEAD_LETTERS, tables.DEAD_LETTERS, (), tables.APPENDED),
    (RESOLUTIONS, tables.RESOLUTIONS, (), tables.TABLE_PROPERTIES),
    (LEDGER, tables.LEDGER, (), tables.APPENDED),
    (PARKED, PARKED_COLUMNS, (), tables.TABLE_PROPERTIES),
    (GAPS, GAPS_COLUMNS, (), tables.TABLE_PROPERTIES),
    (PURGES, tables.PURGES, (), tables.TABLE_PROPERTIES),
)
GENERATION = "caudal.generation"
IDENTITY = "caudal.identity"


def create_fixed(spark: SparkSession, lake: Lake) -> None:
    """Create the tables that do not depend on a contract; those that exist get the columns and properties that they
    lack."""
    for (layer, name), wanted, cluster, properties in _FIXED:
        path = lake.spark_table(layer, name)
        if not lake.has_table(layer, name):
            spark.sql(tables.create_sql(path, wanted, cluster, properties))
            continue
        keep(spark, lake, (layer, name), properties)
        there = columns(lake, layer, name)
        missing = [column.ddl for column in wanted if column.name not in there]
        if missing:
            spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS ({', '.join(missing)})")


def keep(spark: SparkSession, lake: Lake, table: tuple[str, str], properties: Mapping[str, str]) -> None:
    """Give a table that an older release made the properties that it would get now."""
    opened = DeltaTable(lake.table(*table), storage_options=lake.storage_options or None)
    there = opened.metadata().configuration
    if any(there.get(name) != value for name, value in properties.items()):
        listed = ", ".join(f"'{name}' = '{value}'" for name, value in properties.items())
        spark.sql(f"ALTER TABLE delta.`{lake.spark_table(*table)}` SET TBLPROPERTIES ({listed})")


def create_silver(spark: SparkSession, lake: Lake, contract: Contract) -> str:
    """Create silver's table of a contract when it is missing, and return its address for Spark.

    Append tables are clustered by time and event id, since the search for duplicates asks for both; the others by key.
    """
    path = lake.spark_table("silver", contract.table)
    if not lake.has_table("silver", contract.table):
        cluster = (contract.event_time, contract.event_id) if contract.mode == "append" else contract.key[:4]
        properties = {**tables.silver_properties(contract), IDENTITY: identity(contract)}
        spark.sql(tables.create_sql(path, tables.silver_columns(contract), cluster, properties))
    else:
        keep(spark, lake, ("silver", contract.table), tables.silver_properties(contract))
    return path


def identity(contract: Contract) -> str:
    """What decides which records are one row, which is the newest and which are versions: mode, key and sequence, with
    their types, and the history's columns."""
    kinds = {column.name: column.spark_type for column in tables.silver_columns(contract)}
    named = (contract.tenant, contract.event_id) if contract.mode == "append" else contract.key
    parts = [
        [f"{name} {kinds[tables.column_of(contract, name)]}" for name in names] for names in (named, order(contract))
    ]
    return " ".join([f"{contract.mode} ({', '.join(parts[0])}) by ({', '.join(parts[1])})", *tracked.told(contract)])


def order(contract: Contract) -> tuple[str, ...]:
    """Fields in whose order the newest record wins; none in an append contract."""
    return () if contract.mode == "append" else contract.sequence


def stored_identity(lake: Lake, contract: Contract) -> str | None:
    """The identity that silver's table was made for; None when it does not say."""
    opened = DeltaTable(lake.table("silver", contract.table), storage_options=lake.storage_options or None)
    return opened.metadata().configuration.get(IDENTITY)


def set_identity(spark: SparkSession, path: str, contract: Contract) -> None:
    """Remember that the table is this contract's."""
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('{IDENTITY}' = '{identity(contract)}')")


def create_history(spark: SparkSession, path: str, contract: Contract) -> None:
    """Create the table of a contract's history at a path when it is missing, clustered by key."""
    spark.sql(
        tables.create_sql(path, tables.history_columns(contract), contract.key[:4], tables.silver_properties(contract))
    )


def evolve(spark: SparkSession, lake: Lake, contract: Contract) -> list[str]:
    """Add the columns that a newer version of the contract brings, to its history too; returns their names."""
    names: list[str] = []
    places = [(contract.table, tables.silver_columns(contract))]
    if contract.history:
        if not lake.has_table("silver", contract.history_table):
            create_history(spark, lake.spark_table("silver", contract.history_table), contract)
        else:
            keep(spark, lake, ("silver", contract.history_table), tables.silver_properties(contract))
        places.append((contract.history_table, tables.history_columns(contract)))
    for name, wanted in places:
        added = evolution.plan(columns(lake, "silver", name), contract, wanted)
        if added:
            ddl = ", ".join(column.ddl for column in added)
            spark.sql(f"ALTER TABLE delta.`{lake.spark_table('silver', name)}` ADD COLUMNS ({ddl})")
            names += [column.name for column in added if column.name not in names]
    return names


def columns(lake: Lake, layer: str, name: str) -> dict[str, str]:
    """A table's columns and their Spark types, from its log: no JVM and no job."""
    opened = DeltaTable(lake.table(layer, name), storage_options=lake.storage_options or None)
    return {field["name"]: _sql(field["type"]) for field in json.loads(opened.schema().to_json())["fields"]}


_NAMES = {"long": "BIGINT", "integer": "INT", "short": "SMALLINT", "byte": "TINYINT"}


def _sql(kind: Any) -> str:
    """A type of Delta's schema JSON as Spark writes it."""
    if isinstance(kind, str):
        return _NAMES.get(kind, kind.upper())
    if kind["type"] == "array":
        return f"ARRAY<{_sql(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"MAP<{_sql(kind['keyType'])}, {_sql(kind['valueType'])}>"
    return "STRUCT<" + ", ".join(f"{f['name']}: {_sql(f['type'])}" for f in kind["fields"]) + ">"


def set_generation(spark: SparkSession, path: str, generation: int) -> None:
    """Remember the version of the last RESTORE, for when the log no longer tells it."""
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('{GENERATION}' = '{generation}')")
