"""What lies in the lake at the end of a demo, asked of the tables themselves."""

from __future__ import annotations

from typing import Any

from caudal.lake import Lake
from caudal.query import Query

# A mart of each case: commerce, payments, product analytics, fraud.
CASES = {
    "commerce": "fct_orders",
    "payments": "fct_transactions",
    "product": "fct_product_events_daily",
    "fraud": "fct_fraud_decisions",
}


def events(lake: Lake) -> dict[str, int]:
    """Records in raw, by contract."""
    return _pairs(lake, "raw", "events", "select topic k, count(*) v from t group by topic order by topic")


def duplicates(lake: Lake) -> int:
    """Records that were an event already applied, by the ledger."""
    return sum(_pairs(lake, "ops", "ledger", "select contract k, sum(duplicate) v from t group by contract").values())


def dead_letters(lake: Lake) -> dict[str, int]:
    """Dead letters by code."""
    return _pairs(lake, "quarantine", "dead_letters", "select code k, count(*) v from t group by code order by code")


def schema_versions(lake: Lake) -> dict[str, list[int]]:
    """Contract versions that raw has met, by contract."""
    if not lake.has_table("raw", "schemas"):
        return {}
    query = Query(lake)
    query.table("t", "raw", "schemas")
    found: dict[str, list[int]] = {}
    for row in query.rows("select distinct contract, version from t where version is not null order by 1, 2"):
        found.setdefault(row["contract"], []).append(int(row["version"]))
    return found


def gold(lake: Lake) -> list[dict[str, Any]]:
    """Published tables with their rows and versions, from the manifest that readers use."""
    from schemas.manifest import load_current

    manifest = load_current(lake)
    if manifest is None:
        return []
    return [
        {"table": name, "rows": table.rows, "version": table.version}
        for group in manifest.groups.values()
        for name, table in sorted(group.tables.items())
    ]


def unpublished(lake: Lake) -> list[str]:
    """Publish groups that have published nothing yet."""
    from quality.marts import GROUPS
    from schemas.manifest import load_current

    manifest = load_current(lake)
    return [group for group in GROUPS if manifest is None or group not in manifest.groups]


def decisions(lake: Lake) -> dict[str, int]:
    """Decisions in silver by outcome."""
    return _pairs(
        lake, "silver", "fraud_decision", "select outcome k, count(*) v from t group by outcome order by outcome"
    )


def second_version(lake: Lake) -> tuple[int, int]:
    """Orders of contract version 2 with the new column filled, and orders of version 1 that it does not touch."""
    if not lake.has_table("silver", "commerce_order"):
        return 0, 0
    query = Query(lake)
    query.table("t", "silver", "commerce_order")
    columns = {row["column_name"] for row in query.rows("describe t")}
    if "business_entity_id" not in columns:
        return 0, 0
    new = query.one("select count(*) from t where _contract_version = 2 and business_entity_id is not null")
    old = query.one("select count(*) from t where _contract_version = 1 and business_entity_id is null")
    return int(new), int(old)


def _pairs(lake: Lake, layer: str, name: str, sql: str) -> dict[str, int]:
    if not lake.has_table(layer, name):
        return {}
    query = Query(lake)
    query.table("t", layer, name)
    return {str(row["k"]): int(row["v"] or 0) for row in query.rows(sql)}
