"""`raw.schemas` (so that raw can be decoded for ever without the registry), and the registry behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from caudal.errors import CaudalError, TransientError
from caudal.lake import Lake
from caudal.query import Query
from caudal.settings import Settings
from schemas.avro import NAMED, full_name, space_of
from schemas.tables import RAW_SCHEMAS as COLUMNS
from streaming.tables import RAW_SCHEMAS
from streaming.writers import Registered, Writer

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def known(lake: Lake) -> list[Writer]:
    """All writer schemas ever seen."""
    if not lake.has_table(*RAW_SCHEMAS):
        return []
    query = Query(lake)
    query.table("schemas", *RAW_SCHEMAS)
    rows = query.rows("SELECT schema_id, text, contract, version FROM schemas")
    return [Writer(row["schema_id"], row["text"], row["contract"], row["version"]) for row in rows]


def keep(spark: SparkSession, lake: Lake, writers: Iterable[Writer], batch: int) -> None:
    """Append writer schemas. Readers take any row of an id: all rows of an id say the same."""
    rows = [(w.schema_id, w.fingerprint, w.text, w.contract, w.version, batch) for w in writers]
    schema = ", ".join(f"`{column.name}` {column.spark_type}" for column in COLUMNS)
    names = [column.name for column in COLUMNS]
    # As Arrow: rows of Python would be read by Python workers, which take seconds to start.
    frame = spark.createDataFrame(pa.Table.from_pylist([dict(zip(names, row, strict=True)) for row in rows]), schema)
    frame.coalesce(1).write.format("delta").mode("append").save(lake.spark_table(*RAW_SCHEMAS))


# A batch waits this long for an answer; the call itself goes on and its answer serves the next try.
PATIENCE_S = 2.0


class SchemaRegistry:
    """The registry through the client that all stages use. Calls run beside the batch: a hanging one holds nothing."""

    def __init__(self, settings: Settings) -> None:
        from schemas.registry.client import make

        self._client = make(settings)
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="registry")
        self._running: dict[int, Future[Registered | None]] = {}

    def find(self, schema_id: int) -> Registered | None:
        """The schema of an id with its references inlined, None when there is none. Raises TransientError."""
        call = self._running.get(schema_id) or self._pool.submit(self._find, schema_id)
        self._running[schema_id] = call
        try:
            found = call.result(PATIENCE_S)
        except TimeoutError as error:
            raise _away(schema_id, error) from error
        except CaudalError:
            self._running.pop(schema_id, None)
            raise
        self._running.pop(schema_id, None)
        return found

    def close(self) -> None:
        """Ask nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _find(self, schema_id: int) -> Registered | None:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        try:
            schema = self._client.get_schema(schema_id)
            uses = self._client.get_schema_versions(schema_id)
            if schema.schema_str is None or (schema.schema_type or "AVRO") != "AVRO":
                return None
            text = json.dumps(inlined(json.loads(schema.schema_str), self._references(schema)), separators=(",", ":"))
        except SchemaRegistryError as error:
            if error.http_status_code == 404:
                return None
            raise _away(schema_id, error) from error
        except Exception as error:
            raise _away(schema_id, error) from error
        return Registered(text, tuple((str(u.subject), int(u.version or 0)) for u in uses))

    def _references(self, schema: Any) -> dict[str, Any]:
        """Definitions of all named types that a schema refers to, those of its references included."""
        found: dict[str, Any] = {}
        for reference in schema.references or ():
            other = self._client.get_version(reference.subject, reference.version).schema
            found |= self._references(other)
            found[str(reference.name)] = json.loads(other.schema_str)
        return found


def inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with each type of `definitions` (by full name) written out where it is first used."""
    return _inline(schema, None, dict(definitions))


def _inline(kind: Any, space: str | None, left: dict[str, Any]) -> Any:
    if isinstance(kind, str):
        name = kind if kind in left else f"{space}.{kind}"
        # Written out once; afterwards the name alone stands for it, as Avro wants it.
        return _inline(left.pop(name), None, left) if name in left else kind
    if isinstance(kind, list):
        return [_inline(arm, space, left) for arm in kind]
    if not isinstance(kind, dict):
        return kind
    below = space_of(full_name(kind, space)) if "name" in kind else space
    out = dict(kind)
    for part in ("type", "items", "values"):
        if part in out and out[part] not in NAMED:
            out[part] = _inline(out[part], below, left)
    if "fields" in out:
        out["fields"] = [{**item, "type": _inline(item["type"], below, left)} for item in out["fields"]]
    return out


def _away(schema_id: int, error: Exception) -> TransientError:
    return TransientError(
        "the schema registry did not answer", where=f"schema id {schema_id}", why=type(error).__name__,
        fix="records of this id wait; the others flow",
    )  # fmt: skip
