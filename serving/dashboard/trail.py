"""The road of one event: when it was where, from a row of a mart back to its record in Kafka.

Coordinates and times only; what the event says is nobody's business here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from caudal.lake import Lake
from caudal.query import Query, text
from schemas.contract import Contract
from schemas.tables import column_of
from serving.api import answer
from serving.api.ask import Ask, Where
from serving.api.errors import NotThere
from serving.api.gold import Gold, Mart, Reader
from serving.api.query import TENANT, Bounds, plan, quoted
from serving.api.scope import select

LEDGER = ("ops", "ledger")


@dataclass(frozen=True)
class Origin:
    """Where the rows of a mart come from: the contract, and the column that names the same row in mart and silver."""

    contract: str
    key: str


# Marts of which a row is one event, or the newest state that one event brought.
ORIGINS: Mapping[str, Origin] = {
    "fct_orders": Origin("commerce.order", "order_id"),
    "fct_refunds": Origin("commerce.refund", "event_id"),
    "fct_transactions": Origin("payments.transaction", "event_id"),
    "fct_fraud_decisions": Origin("fraud.decision", "event_id"),
}
_PLACE = (
    "_origin_source", "_observed_at", "_published_at", "_topic", "_partition", "_offset", "_kafka_time", "_schema_id",
    "_contract_version", "_batch", "_late",
)  # fmt: skip


class Trails:
    """Finds the roads of one lake's events."""

    def __init__(self, lake: Lake, reader: Reader, contracts: Callable[[], Mapping[str, Contract]]) -> None:
        self._lake, self._reader, self._contracts = lake, reader, contracts

    def of(self, mart: str, tenant: str, value: str) -> list[dict[str, Any]]:
        """The stages that a row's event has passed, in order: `{stage, at, facts}`, `at` in UTC or None when unknown.

        The row is that of `tenant` whose key (see ORIGINS) is `value`. Raises NotThere when gold has no such row,
        BadQuery for a value that does not fit, NotPublished, and TransientError when storage is away.
        """
        gold = self._reader.current()
        found = gold.mart(mart)
        if mart not in ORIGINS:
            raise NotThere("rows of this mart are no single events")
        row = self._row(found, tenant, {ORIGINS[mart].key: value})
        silver = self._silver(ORIGINS[mart], tenant, value, row["published_at"])
        hops = _early(silver) if silver else []
        if silver:
            hops.append(self._landed(ORIGINS[mart].contract, int(silver["_batch"])))
        hops.append(_hop("gold", None, mart=mart, version=found.version, cycle=found.cycle))
        if mart == "fct_transactions":
            hops += self._decided(gold, tenant, str(row["event_id"]))
        return hops

    def _row(self, mart: Mart, tenant: str, key: Mapping[str, str]) -> dict[str, object]:
        relation = self._reader.open(mart.path, mart.version, mart.table_id)
        ask = Ask(filters=tuple(Where(column=name, value=value) for name, value in key.items()))
        query = plan(ask, self._reader.columns(relation), Bounds(1, 1))
        rows = answer.rows(select(relation, tenant, query.sql()))
        if not rows:
            raise NotThere
        return rows[0]

    def _silver(self, origin: Origin, tenant: str, value: str, since: object) -> dict[str, Any] | None:
        """Where silver has the row. Its state may be newer than gold's, never older: older files are not read."""
        contract = self._contracts().get(origin.contract)
        if contract is None or not self._lake.has_table("silver", contract.table):
            return None
        query = Query(self._lake)
        query.table("silver", "silver", contract.table)
        owner = quoted(column_of(contract, contract.tenant))
        newer = f" AND _published_at >= timestamp {text(str(since))}" if since else ""
        sql = (
            f"SELECT {', '.join(map(quoted, _PLACE))} FROM silver WHERE {owner} = {text(tenant)}"
            f" AND {quoted(column_of(contract, origin.key))} = {text(value)}"
            f"{newer} ORDER BY _published_at DESC LIMIT 1"
        )
        rows = answer.rows(query.arrow(sql))
        return rows[0] if rows else None

    def _landed(self, contract: str, batch: int) -> dict[str, Any]:
        """When the batch's rows were in silver, by the ledger, whose lines may be a few seconds behind."""
        rows: list[dict[str, Any]] = []
        if self._lake.has_table(*LEDGER):
            query = Query(self._lake)
            query.table("ledger", *LEDGER)
            sql = (
                f"SELECT min(committed_at) AS at FROM ledger WHERE contract = {text(contract)} AND batch = {batch}"
                ' AND "read" > 0'
            )
            rows = answer.rows(query.arrow(sql))
        return _hop("silver", rows[0]["at"] if rows else None, batch=batch)

    def _decided(self, gold: Gold, tenant: str, event_id: str) -> list[dict[str, Any]]:
        if "fct_fraud_decisions" not in gold.marts:
            return []
        try:
            row = self._row(gold.marts["fct_fraud_decisions"], tenant, {"transaction_event_id": event_id})
        except NotThere:
            return []
        facts = {name: row[name] for name in ("outcome", "score", "latency_ms", "model_version")}
        return [_hop("decision", row["decided_at"], **facts)]


def _early(silver: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages that silver's own columns tell of."""
    return [
        _hop("source", silver["_observed_at"], source=silver["_origin_source"], late=silver["_late"] or None),
        _hop("sealed", silver["_published_at"], contract_version=silver["_contract_version"]),
        _hop(
            "kafka",
            silver["_kafka_time"],
            record=f"{silver['_topic']}:{silver['_partition']}:{silver['_offset']}",
            schema_id=silver["_schema_id"],
        ),
        _hop("raw", None, batch=silver["_batch"]),
    ]


def _hop(stage: str, at: object, **facts: object) -> dict[str, Any]:
    return {"stage": stage, "at": at, "facts": facts}


def keys(mart: str) -> list[str]:
    """The columns of a row that lead to its road; none when the mart's rows are no single events."""
    return [TENANT, ORIGINS[mart].key] if mart in ORIGINS else []
