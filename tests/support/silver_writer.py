"""Silver tables as streaming would leave them, written from literal rows: one commit a call, `_version` and all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from caudal.lake import Lake
from schemas.contract import Contract
from schemas.tables import create_sql, history_columns, silver_columns, silver_properties


class SilverWriter:
    """Writes the silver table of one contract, or its history; columns that a row does not name are null."""

    def __init__(self, spark: SparkSession, lake: Lake, contract: Contract, *, history: bool = False) -> None:
        self._spark, self._contract = spark, contract
        self._path = lake.spark_table("silver", contract.history_table if history else contract.table)
        self._columns = history_columns(contract) if history else silver_columns(contract)
        self._key = (*contract.key, contract.event_id) if history else contract.key
        self.version = 0
        self._offset = 0
        spark.sql(create_sql(self._path, self._columns, (), silver_properties(contract)))

    def append(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Add rows; the version of the commit."""
        self._frame(rows).write.format("delta").mode("append").save(self._path)
        return self.version

    def upsert(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Replace or add rows by the contract's key (in a history: and event id); the version of the commit.

        A row that names a `_version` keeps it, as a version does whose time a later change only ended.
        """
        self._frame(rows).createOrReplaceTempView("rows_to_upsert")
        same = " and ".join(f"silver.`{name}` = news.`{name}`" for name in self._key)
        self._spark.sql(
            f"merge into delta.`{self._path}` as silver using rows_to_upsert as news on {same} "
            "when matched then update set * when not matched then insert *"
        )
        return self.version

    def _frame(self, rows: Iterable[Mapping[str, Any]]) -> Any:
        self.version += 1
        filled = [self._row(row) for row in rows]
        # Timestamps come as ISO texts in UTC, so that a literal row reads as what it is.
        ddl = ", ".join(
            f"`{c.name}` {'STRING' if c.spark_type in ('TIMESTAMP', 'DATE') else c.spark_type}" for c in self._columns
        )
        frame = self._spark.createDataFrame(filled, ddl)
        return frame.selectExpr(*(f"cast(`{c.name}` as {c.spark_type}) as `{c.name}`" for c in self._columns))

    def _row(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        self._offset += 1
        known = {column.name for column in self._columns}
        assert set(row) <= known, f"no such column: {set(row) - known}"
        given = {
            "event_id": f"e{self._offset}",
            "_topic": self._contract.topic,
            "_partition": 0,
            "_offset": self._offset,
            "_published_at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "_contract_version": 1,
            "_batch": self.version,
            "_version": self.version,
            "_late": False,
            "_suppressed": False,
            **row,
        }
        return tuple(given.get(column.name) for column in self._columns)
