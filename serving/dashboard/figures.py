"""Figures of gold and quarantine, each asked again only when its table's version has moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caudal import log
from caudal.lake import Lake
from caudal.query import Query
from schemas.tables import PURGED_SQL, RESOLVED_SQL
from serving.api import answer
from serving.api.gold import Gold, Mart, Reader
from serving.api.scope import select
from serving.dashboard.statements import PAGES, Statement

if TYPE_CHECKING:
    from deltalake import DeltaTable

Rows = list[dict[str, object]]
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
    """Keeps the last answer of each statement and the version it came from. For one thread."""

    def __init__(self, lake: Lake, reader: Reader) -> None:
        self._lake, self._reader = lake, reader
        self._kept: dict[Statement, tuple[str, Rows]] = {}
        self._letters: tuple[dict[str, int], Rows] | None = None
        self._quarantine: dict[str, DeltaTable] = {}
        self._log = log.get("dashboard")

    def of(self, page: str, gold: Gold | None) -> dict[str, dict[str, Any]]:
        """The figures of a page by name, each `{mart, rows, why}`.

        `rows` is None when there is no answer; `why` is then `unpublished` or `unreadable`, else empty.
        """
        return {name: self._figure(statement, gold) for name, statement in PAGES[page].items()}

    def dead_letters(self) -> Rows | None:
        """Open dead letters by code, path and contract, most first; None before quarantine is there."""
        try:
            versions = self._looked()
            if versions is None:
                return None
            if self._letters is None or self._letters[0] != versions:
                query = Query(self._lake)
                for alias, named in _QUARANTINE.items():
                    query.table(alias, *named, versions[alias])
                self._letters = (versions, answer.rows(query.arrow(DEAD_LETTERS)))
            return self._letters[1]
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

    def _figure(self, statement: Statement, gold: Gold | None) -> dict[str, Any]:
        found = gold.marts.get(statement.mart) if gold else None
        rows, why = None, "unpublished"
        if found is not None:
            try:
                rows, why = self._asked(statement, found), ""
            except Exception as error:  # noqa: BLE001  one missing figure must not blind the page
                why = "unreadable"
                self._log.warning("no figure", mart=statement.mart, error=type(error).__name__)
        return {"mart": statement.mart, "rows": rows, "why": why}

    def _asked(self, statement: Statement, mart: Mart) -> Rows:
        kept = self._kept.get(statement)
        if kept is None or kept[0] != mart.tag:
            table = self._reader.open(mart.path, mart.version, mart.table_id)
            kept = self._kept[statement] = (mart.tag, answer.rows(select(table, None, statement.sql)))
        return kept[1]
