"""The lake's tables: names, columns and DDL. Silver follows from the contract, the rest is fixed here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from schemas import sparktype, wire
from schemas.avro import validate
from schemas.contract import Contract
from schemas.errors import ContractError
from schemas.sparktype import NoSparkType, SparkType

Role = Literal["field", "mask", "ref", "token", "meta"]


@dataclass(frozen=True)
class Column:
    """A column of a table.

    `field` is the wire field it is filled from (None for meta columns). A column that is not `live` holds values of
    older versions only: nothing writes it any more, readers coalesce it behind its successor.
    """

    name: str
    spark_type: str
    role: Role = "meta"
    nullable: bool = True
    field: str | None = None
    live: bool = True

    @property
    def ddl(self) -> str:
        return f"`{self.name}` {self.spark_type}" + ("" if self.nullable else " NOT NULL")


SILVER_META: tuple[Column, ...] = (
    Column("_sealed", "MAP<STRING, BINARY>", "token"),
    Column("_origin_source", "STRING"),
    Column("_origin_run", "STRING"),
    Column("_origin_position", "STRING"),
    Column("_observed_at", "TIMESTAMP"),
    Column("_published_at", "TIMESTAMP"),
    Column("_topic", "STRING"),
    Column("_partition", "INT"),
    Column("_offset", "BIGINT"),
    Column("_kafka_time", "TIMESTAMP"),
    Column("_schema_id", "INT"),
    Column("_contract_version", "INT"),
    Column("_batch", "BIGINT"),
    Column("_version", "BIGINT"),
    Column("_late", "BOOLEAN"),
    Column("_suppressed", "BOOLEAN"),
    Column("_warnings", "ARRAY<STRING>"),
)
DELETED_AT = Column("_deleted_at", "TIMESTAMP")
CHANGE_FIELDS = ("_op", "_sequence", "_source")
"""What a change record says of itself and not of its row."""
SET_BY = "_set_by"
"""Of a row made of partial updates: which change (sequence, event id) set a column, where it is not the row's newest;
under `""` the newest delete."""
HISTORY_META: tuple[Column, ...] = (
    Column("_valid_from", "TIMESTAMP"),
    Column("_valid_to", "TIMESTAMP"),
    Column("_current", "BOOLEAN"),
)
"""A version holds from its event time to that of the next one of its key. A delete holds for no time at all."""

RAW_EVENTS: tuple[Column, ...] = (
    Column("topic", "STRING"),
    Column("partition", "INT"),
    Column("offset", "BIGINT"),
    Column("kafka_time", "TIMESTAMP"),
    Column("key", "BINARY"),
    Column("value", "BINARY"),
    Column("headers", "ARRAY<STRUCT<key: STRING, value: BINARY>>"),
    Column("schema_id", "INT"),
    Column("ingest_date", "DATE"),
    Column("_batch", "BIGINT"),
)
RAW_SCHEMAS: tuple[Column, ...] = (
    Column("schema_id", "INT"),
    Column("fingerprint", "STRING"),
    Column("text", "STRING"),
    Column("contract", "STRING"),
    Column("version", "INT"),
    Column("_batch", "BIGINT"),
)
DEAD_LETTERS: tuple[Column, ...] = (
    Column("topic", "STRING"),
    Column("partition", "INT"),
    Column("offset", "BIGINT"),
    Column("contract", "STRING"),
    Column("code", "STRING"),
    Column("path", "STRING"),
    Column("schema_id", "INT"),
    Column("contract_version", "INT"),
    Column("at", "TIMESTAMP"),
    Column("_batch", "BIGINT"),
)
RESOLUTIONS: tuple[Column, ...] = (
    Column("topic", "STRING"),
    Column("partition", "INT"),
    Column("offset", "BIGINT"),
    Column("resolution", "STRING"),
    Column("at", "TIMESTAMP"),
    Column("by", "STRING"),
    Column("_batch", "BIGINT"),
    Column("replay", "STRING"),
    Column("asked", "STRING"),
)
"""`replay` is the id of the order, `asked` the order as JSON. `resolution` is replayed, or reopened when a RESTORE
undid the replay; each of these takes one of those back."""
RESOLVED_SQL = (
    'SELECT topic, "partition", "offset", _batch, \'replayed\' AS resolution FROM marks '
    'GROUP BY topic, "partition", "offset", _batch '
    "HAVING sum(CASE resolution WHEN 'replayed' THEN 1 ELSE -1 END) > 0"
)
"""SQL over the resolutions, as `marks`: the records whose dead letter is resolved. For DataFusion, without a JVM."""
PURGED_SQL = (
    'SELECT DISTINCT d.topic, d."partition", d."offset", d._batch, \'purged\' AS resolution FROM dead d '
    'JOIN purges p ON p.topic = d.topic AND p."partition" = d."partition" AND p._batch = d._batch '
    'AND d."offset" >= p."first" AND d."offset" <= p."last"'
)
"""SQL over dead letters, as `dead`, and `purges`: those whose record has left raw, so nothing can heal them."""
PURGES: tuple[Column, ...] = (
    Column("purge", "STRING"),
    Column("contract", "STRING"),
    Column("topic", "STRING"),
    Column("partition", "INT"),
    Column("_batch", "BIGINT"),
    Column("first", "BIGINT"),
    Column("last", "BIGINT"),
    Column("records", "BIGINT"),
    Column("digest", "STRING"),
    Column("code", "STRING"),
    Column("by", "STRING"),
    Column("reason", "STRING"),
    Column("at", "TIMESTAMP"),
)
"""The records of this partition and batch at each offset of [first, last], both included, were purged; there were
`records` of them. `digest` is a SHA-256 over their bytes in order. `purge` is the command's id; `code` is null where
records went for their age: then nothing of the contract up to this batch is left."""
LEDGER: tuple[Column, ...] = (
    Column("batch", "BIGINT"),
    Column("contract", "STRING"),
    Column("read", "BIGINT"),
    Column("applied", "BIGINT"),
    Column("duplicate", "BIGINT"),
    Column("superseded", "BIGINT"),
    Column("dead_letter", "BIGINT"),
    Column("parked", "BIGINT"),
    Column("late", "BIGINT"),
    Column("suppressed", "BIGINT"),
    Column("committed_at", "TIMESTAMP"),
    Column("silver_version", "BIGINT"),
    Column("offsets", "STRING"),
    Column("expired", "BIGINT"),
)

TABLE_PROPERTIES: Mapping[str, str] = {
    "delta.enableDeletionVectors": "true",
    # A commit a second makes 86,400 log files a day. Longer than this nobody travels back; the ledger remembers.
    "delta.logRetentionDuration": "interval 7 days",
}
"""What every table gets. No type widening and no change data feed: deltalake refuses tables that have the first."""


# A checkpoint of the log costs more than an append, and Delta makes one every ten commits. Who only appends never asks
# for the table's whole state, and readers start from a checkpoint and read the few small files behind it.
APPENDED: Mapping[str, str] = {**TABLE_PROPERTIES, "delta.checkpointInterval": "100"}
"""What a table gets that a commit a second is appended to."""
RAW_PROPERTIES: Mapping[str, str] = {
    **APPENDED,
    # Bytes, keys and headers have no order that anybody asks for.
    "delta.dataSkippingStatsColumns": "topic,partition,offset,kafka_time,schema_id,ingest_date,_batch",
}


def silver_columns(contract: Contract) -> tuple[Column, ...]:
    """Columns of `silver/<table>` over all versions: fields in order of first appearance, refs, meta.

    A field whose type changed in a way that the column cannot follow goes on as `<field>__v<N>`, N being the version
    that brought the new type. Fields of `except_column_list` have none. Raises ContractError for types that no table
    can hold.
    """
    fields = [column for column in _field_columns(contract) if column.field not in contract.except_column_list]
    refs = [Column(name, "STRING", "ref", field=name) for name in (wire.SUBJECT_REF, *wire.ref_columns(contract.refs))]
    deleted = [] if contract.mode == "append" else [DELETED_AT]
    set_by = [Column(SET_BY, f"MAP<STRING, {_newness(contract, fields)}>")] if contract.ignore_null_updates else []
    return (*fields, *refs, *SILVER_META, *deleted, *set_by)


def history_columns(contract: Contract) -> tuple[Column, ...]:
    """Columns of `silver/<table>_history`: silver's, and when the version held. Changes are kept as they came, so
    there is no `_set_by`."""
    return (*(column for column in silver_columns(contract) if column.name != SET_BY), *HISTORY_META)


def _newness(contract: Contract, fields: Sequence[Column]) -> str:
    kinds = {column.field: (column.name, column.spark_type) for column in fields if column.live}
    sequence = ", ".join(f"{kinds[name][0]}: {kinds[name][1]}" for name in contract.sequence)
    return f"STRUCT<s: STRUCT<{sequence}>, e: STRING>"


def column_of(contract: Contract, field: str) -> str:
    """The silver column that holds a field of the newest version (KeyError when there is none)."""
    for column in silver_columns(contract):
        if column.field == field and column.live:
            return column.name
    raise KeyError(f"{contract.id} has no field {field}")


def stats_columns(contract: Contract) -> tuple[str, ...]:
    """Columns whose minimum and maximum Delta may keep: keys, times and positions, never a mask or free text. Each is
    work for every row, so what all files have alike (topic, partition) or at random (refs) is not among them."""
    wanted = (
        contract.tenant, contract.event_id, *contract.key, contract.event_time,
        "_batch", "_version", "_offset", "_published_at",
    )  # fmt: skip
    personal = {item.name for item in contract.pii_fields}
    return tuple(dict.fromkeys(name for name in wanted if name not in personal))


def silver_properties(contract: Contract) -> dict[str, str]:
    """Table properties of silver: masks stay out of column statistics, which outlive an erasure."""
    own = APPENDED if contract.mode == "append" else TABLE_PROPERTIES
    return {**own, "delta.dataSkippingStatsColumns": ",".join(stats_columns(contract))}


def distinct_columns(contract: Contract) -> tuple[str, ...]:
    """Silver's columns, as Parquet names them, whose values hardly ever come twice."""
    return (column_of(contract, contract.event_id), "_sealed.key_value.value", "_origin_position", "_offset")


def create_sql(
    path: str,
    columns: Iterable[Column],
    cluster_by: Sequence[str] = (),
    properties: Mapping[str, str] = TABLE_PROPERTIES,
) -> str:
    """DDL that creates a Delta table at a path and does nothing when it is there. Clustered columns need statistics."""
    body = ",\n  ".join(column.ddl for column in columns)
    cluster = f"\nCLUSTER BY ({', '.join(f'`{name}`' for name in cluster_by)})" if cluster_by else ""
    listed = ", ".join(f"'{name}' = '{value}'" for name, value in properties.items())
    props = f"\nTBLPROPERTIES ({listed})" if listed else ""
    return f"CREATE TABLE IF NOT EXISTS delta.`{path}` (\n  {body}\n) USING delta{cluster}{props}"


@dataclass
class _Kept:
    """A silver column while the versions are gone through."""

    name: str
    field: str
    kind: SparkType
    mask: bool
    live: bool = True


def _field_columns(contract: Contract) -> list[Column]:
    kept: list[_Kept] = []
    for version in contract.versions:
        names = validate(version.avsc)
        present: set[str] = set()
        for item in version.avsc["fields"]:
            name = item["name"]
            kind = _kind(contract, version.number, item, names)
            present.add(name)
            older = [column for column in reversed(kept) if column.field == name]
            for column in older:
                column.live = False
            # The newest column that can hold the values goes on, be it one that a version in between left out.
            follows = next((c for c in older if sparktype.merge(c.kind, kind) and c.mask == ("pii" in item)), None)
            if follows is None:
                taken = any(column.name == name for column in kept)
                kept.append(_Kept(f"{name}__v{version.number}" if taken else name, name, kind, "pii" in item))
            else:
                follows.kind, follows.live = sparktype.merge(follows.kind, kind) or kind, True
        for column in kept:
            column.live = column.live and column.field in present
    required = {contract.tenant, contract.event_id} if contract.mode == "append" else set(contract.key)
    return [
        Column(c.name, c.kind.sql(), "mask" if c.mask else "field", c.name not in required, c.field, c.live)
        for c in kept
    ]


def _kind(
    contract: Contract, number: int, item: Mapping[str, object], names: Mapping[str, dict[str, object]]
) -> SparkType:
    space = str(contract.version(number).avsc.get("namespace") or "") or None
    try:
        kind = sparktype.of(item["type"], names, space)
    except NoSparkType as error:
        raise ContractError(
            "TYPE",
            f"field `{item['name']}` of {contract.id} version {number} has a type that no table can hold",
            file=contract.source_dir / f"v{number}.avsc" if contract.source_dir else None,
            why=str(error),
            fix="choose another type",
        ) from error
    if "pii" in item:
        return sparktype.Array(sparktype.STRING) if isinstance(kind, sparktype.Array) else sparktype.STRING
    return kind
