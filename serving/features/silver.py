"""Payments, labels and accounts from silver, at pinned versions, by deltalake: no JVM, so `verify` costs seconds."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from caudal.lake import Lake
from serving.errors import Refused
from serving.features import facts, records
from serving.features.facts import Label, Transaction
from serving.features.spec import FeatureSpec


@dataclass(frozen=True)
class Row:
    """A payment with its Kafka coordinates. `suppressed`: silver keeps no ref of the erased person."""

    tx: Transaction
    partition: int
    offset: int
    suppressed: bool = False


@dataclass(frozen=True)
class LabelRow:
    """A label with its Kafka coordinates."""

    label: Label
    partition: int
    offset: int


@dataclass(frozen=True)
class AccountRow:
    """When an account was opened, and whose it is."""

    tenant: str
    subject_ref: str
    opened_ms: int
    partition: int
    offset: int


class Silver:
    """The tables as they are now. Open another one to see what came later."""

    def __init__(self, lake: Lake, spec: FeatureSpec) -> None:
        self._lake, self._spec = lake, spec
        self._tables: dict[str, Any] = {}

    def has(self, layer: str, name: str) -> bool:
        """Whether the table has been created."""
        return self._lake.has_table(layer, name)

    def query(self, layer: str, name: str, sql: str) -> list[dict[str, Any]]:
        """Rows of a query over the table, which it names `t`; none when there is no such table."""
        import pyarrow as pa
        from deltalake import DeltaTable, QueryBuilder

        if not self.has(layer, name):
            return []
        key = f"{layer}/{name}"
        if key not in self._tables:
            self._tables[key] = DeltaTable(self._lake.table(layer, name), storage_options=self._lake.storage_options)
        found = QueryBuilder().register("t", self._tables[key]).execute(sql).read_all()
        rows: list[dict[str, Any]] = pa.table(found).to_pylist()
        return rows

    def payments(self, refs: Mapping[str, Collection[str]], event_ids: Collection[str] = ()) -> list[Row]:
        """Payments that name one of these refs (ref field → refs), or have one of these event ids."""
        wanted = [f"{field} in ({literals(values)})" for field, values in refs.items() if values]
        if event_ids:
            wanted.append(f"event_id in ({literals(event_ids)})")
        if not wanted:
            return []
        fields = {e.ref for e in self._spec.entities} | {name for e in self._spec.entities for name in e.holds}
        columns = ["event_id", "tenant_id", "transaction_id", self._spec.amount, "occurred_at", *sorted(fields)]
        sql = f"select {', '.join(columns)}, _partition, _offset, _suppressed from t where {' or '.join(wanted)}"
        return [
            Row(facts.transaction(r, self._spec), r["_partition"], r["_offset"], bool(r["_suppressed"]))
            for r in self.query("silver", _table(self._spec.source), sql)
        ]

    def labels(self, merchants: Collection[str]) -> list[LabelRow]:
        """Labels on payments at these merchants."""
        if not merchants:
            return []
        columns = "event_id, tenant_id, transaction_event_id, merchant_id, is_fraud, transaction_at, labelled_at"
        sql = f"select {columns}, _partition, _offset from t where merchant_id in ({literals(merchants)})"
        rows = self.query("silver", _table(self._spec.labels), sql)
        return [LabelRow(facts.label(r), r["_partition"], r["_offset"]) for r in rows]

    def accounts(self, subjects: Collection[str]) -> list[AccountRow]:
        """Openings of these people's accounts, closed ones too."""
        if not subjects:
            return []
        columns = "tenant_id, subject_ref, opened_at, _partition, _offset"
        sql = f"select {columns} from t where subject_ref in ({literals(subjects)})"
        return [
            AccountRow(r["tenant_id"], r["subject_ref"], facts.epoch_ms(r["opened_at"]), r["_partition"], r["_offset"])
            for r in self.query("silver", _table(self._spec.accounts), sql)
            if r["opened_at"] is not None
        ]

    def conflicts(self) -> list[Row]:
        """Payments that silver refused as conflicts (known event id, other content): the store has met them."""
        # `offset` is a keyword of SQL, so the coordinates stand in quotes.
        where = f"topic = '{self._spec.source}'"
        sql = f"""select "partition", "offset", schema_id from t where code = 'CDL-CONFLICT' and {where}"""
        places = {(r["partition"], r["offset"]): r["schema_id"] for r in self.query("quarantine", "dead_letters", sql)}
        if not places:
            return []
        texts = {r["schema_id"]: r["text"] for r in self.query("raw", "schemas", "select schema_id, text from t")}
        offsets = ", ".join(str(offset) for _, offset in places)
        raw = self.query(
            "raw",
            "events",
            f"""select "partition", "offset", value from t where {where} and "offset" in ({offsets})""",
        )
        out = []
        for row in raw:
            schema = texts.get(places.get((row["partition"], row["offset"]), -1))
            if schema is None:
                continue
            try:
                wire = records.decode_body(row["value"][5:], records.parse(json.loads(schema)))
                out.append(Row(facts.transaction(wire, self._spec), row["partition"], row["offset"]))
            except (Refused, KeyError, TypeError, ValueError):
                continue  # a record that cannot be read never reached a state
        return out


def literals(values: Iterable[str]) -> str:
    """SQL string literals."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in sorted(set(values)))


def _table(contract: str) -> str:
    return contract.replace(".", "_")
