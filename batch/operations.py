"""What the operations marts read besides the pinned tables, as views. Pure: facts in, SELECTs out.

pinned._silver    the rows of all silver tables at their pins, with what all contracts have in common
pinned._tables    size and promise of each contract's silver table
pinned._quality   the newest verdict of each check
pinned._prices    the price table of the settings
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from batch import sql
from batch.settings import Prices
from schemas.contract import Contract
from schemas.tables import column_of

QUALITY = (
    "group_name string, cycle string, checked_at timestamp, layer string, table_name string, code string, "
    "is_ok boolean, severity string, checked bigint, failing bigint, detail string"
)


def views(
    contracts: Iterable[Contract],
    sizes: Mapping[str, tuple[int, int]],
    results: Iterable[Mapping[str, Any] | None],
    prices: Prices,
) -> dict[str, str]:
    """The SELECT behind each view, by its full name. `sizes` are files and bytes by table, `results` one a group."""
    ordered = sorted(contracts, key=lambda contract: contract.id)
    return {
        "pinned._silver": " union all ".join(_silver(contract) for contract in ordered),
        "pinned._tables": sql.rows(
            "contract string, table_name string, promised_s bigint, files bigint, bytes bigint",
            ((one.id, one.table, _promised_s(one), *sizes.get(one.table, (0, 0))) for one in ordered),
        ),
        "pinned._quality": sql.rows(QUALITY, (row for group in results if group for row in _verdicts(group))),
        "pinned._prices": sql.rows(
            "currency string, per_gib_month decimal(18,6), per_million_records decimal(18,6)",
            [(prices.currency, prices.per_gib_month, prices.per_million_records)],
        ),
    }


def _silver(contract: Contract) -> str:
    tenant, at = column_of(contract, contract.tenant), column_of(contract, contract.event_time)
    return (
        f"select {sql.literal(contract.id)} as contract, `{tenant}` as tenant_id, "
        f"cast(`{at}` as timestamp) as event_at, _published_at as published_at, _late as is_late "
        f"from pinned.{contract.table}"
    )


def _promised_s(contract: Contract) -> int | None:
    return None if contract.freshness_s is None else round(contract.freshness_s)


def _verdicts(document: Mapping[str, Any]) -> Iterable[tuple[Any, ...]]:
    at = datetime.fromtimestamp(document["at_ms"] / 1000, UTC)
    for one in document["results"]:
        yield (
            document["group"], document["cycle"], at, one["layer"], one["table"], one["code"],
            one["ok"], one["severity"], one["checked"], one["failing"], one["detail"],
        )  # fmt: skip
