"""Figures of gold and quarantine, each asked again only when its table's version has moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from caudal import log
from caudal.lake import Lake
from caudal.query import Query
from schemas.tables import PURGED_SQL, RESOLVED_SQL
from serving.api import answer
from serving.api.gold import Gold, Reader
from serving.api.scope import Relation, select

if TYPE_CHECKING:
    from deltalake import DeltaTable

# One statement per figure and mart; the relation is always called `mart` (see serving.api.scope).
STATEMENTS: Mapping[str, tuple[str, str]] = {
    "shops": (
        "revenue_by_shop",
        "SELECT tenant_id AS shop, currency, sum(orders) AS orders, sum(revenue) AS revenue,"
        " sum(cancelled_orders) AS cancelled FROM mart GROUP BY tenant_id, currency"
        " ORDER BY orders DESC, shop, currency LIMIT 12",
    ),
    "orders": (
        "revenue_by_shop",
        "SELECT coalesce(sum(orders), 0) AS orders, count(DISTINCT tenant_id) AS shops,"
        " coalesce(sum(orders_without_customer), 0) AS without_customer FROM mart",
    ),
    "payments": (
        "fct_transactions",
        "SELECT method, count(*) AS payments, sum(amount) AS amount FROM mart"
        " GROUP BY method ORDER BY payments DESC, method LIMIT 8",
    ),
    "decisions": (
        "fct_fraud_decisions",
        "SELECT outcome, count(*) AS decisions, sum(amount) AS amount,"
        " approx_percentile_cont(latency_ms, 0.95) AS p95_ms FROM mart"
        " GROUP BY outcome ORDER BY outcome LIMIT 8",
    ),
    "tiers": (
        "fct_product_events_daily",
        "SELECT tier, sum(events) AS events, count(DISTINCT tenant_id) AS tenants FROM mart"
        " GROUP BY tier ORDER BY events DESC, tier LIMIT 8",
    ),
}
# Open dead letters by what they have in common; those that were healed or purged since are none any more.
DEAD_LETTERS = (
    "SELECT d.code, d.path, d.contract, count(*) AS records, max(d.at) AS latest FROM dead d "
    f"LEFT ANTI JOIN ({RESOLVED_SQL} UNION ALL {PURGED_SQL}) r ON d.topic = r.topic "
    'AND d."partition" = r."partition" AND d."offset" = r."offset" AND d._batch = r._batch '
    "GROUP BY d.code, d.path, d.contract ORDER BY records DESC, d.code, d.contract, d.path LIMIT 50"
)
_QUARANTINE = {
    "dead": ("quarantine", "dead_letters"),
    "marks": ("quarantine", "resolutions"),
    "purges": ("ops", "purges"),
}


class Figures:
    """Keeps the last answer of each statement and the version it came from."""

    def __init__(self, lake: Lake, reader: Reader) -> None:
        self._lake, self._reader = lake, reader
        self._kept: dict[str, tuple[tuple[str, int], list[dict[str, object]]]] = {}
        self._quarantine: dict[str, DeltaTable] = {}
        self._log = log.get("dashboard")

    def of_gold(self, gold: Gold | None) -> dict[str, list[dict[str, object]] | None]:
        """Every figure by name; None while its mart is not published."""
        return {name: self._figure(name, mart, sql, gold) for name, (mart, sql) in STATEMENTS.items()}

    def dead_letters(self) -> list[dict[str, object]] | None:
        """Open dead letters by code, path and contract, most first; None before quarantine is there."""
        try:
            versions = self._looked()
            if versions is None:
                return None
            key = (repr(versions), 0)
            kept = self._kept.get("dead_letters")
            if kept is None or kept[0] != key:
                query = Query(self._lake)
                for alias, named in _QUARANTINE.items():
                    query.table(alias, *named, versions[alias])
                kept = self._kept["dead_letters"] = (key, query.rows(DEAD_LETTERS))
            return kept[1]
        except Exception as error:  # noqa: BLE001  one missing figure must not blind the page
            self._log.warning("no figure", figure="dead_letters", error=type(error).__name__)
            return None

    def _looked(self) -> dict[str, int] | None:
        """The newest versions of quarantine's tables, from the commits since the last look."""
        from deltalake import DeltaTable

        for alias, named in _QUARANTINE.items():
            if alias not in self._quarantine:
                if not self._lake.has_table(*named):
                    return None
                address = self._lake.table(*named)
                self._quarantine[alias] = DeltaTable(address, storage_options=self._lake.storage_options)
            self._quarantine[alias].update_incremental()
        return {alias: table.version() for alias, table in self._quarantine.items()}

    def _figure(self, name: str, mart: str, sql: str, gold: Gold | None) -> list[dict[str, object]] | None:
        found = gold.marts.get(mart) if gold else None
        if found is None:
            return None
        try:
            table = self._reader.open(found.path, found.version, found.table_id)
            return self._asked(name, table, (found.table_id, found.version), sql)
        except Exception as error:  # noqa: BLE001  one missing figure must not blind the page
            self._log.warning("no figure", figure=name, error=type(error).__name__)
            return None

    def _asked(self, name: str, table: Relation, key: tuple[str, int], sql: str) -> list[dict[str, object]]:
        kept = self._kept.get(name)
        if kept is None or kept[0] != key:
            kept = (key, answer.rows(select(table, None, sql)))
            self._kept[name] = kept
        return kept[1]
