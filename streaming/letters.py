"""What quarantine holds, without a JVM: groups of dead letters, single ones, and the evidence of one.

A dead letter is coordinates, code and path; its payload stays in raw and is never shown. What was resolved is told by
append-only resolutions, so a letter is open as long as none names its coordinates and its record is not purged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caudal.lake import Lake
from caudal.query import Query, text
from schemas.contract import Contract
from schemas.tables import PURGED_SQL, RESOLVED_SQL
from streaming.errors import NoDeadLetter

_PLACE = 'topic, "partition", "offset"'


@dataclass(frozen=True)
class Wanted:
    """Which dead letters: those of a contract, code, path, from a time on; None is any."""

    contract: str | None = None
    code: str | None = None
    path: str | None = None
    since: datetime | None = None

    def sql(self) -> str:
        """The condition on `letters`."""
        named = {"contract": self.contract, "code": self.code, "path": self.path}
        parts = [f"{name} = {text(value)}" for name, value in named.items() if value is not None]
        if self.since is not None:
            parts.append(f"at >= timestamp '{self.since.isoformat()}'")
        return " and ".join(parts) or "true"


def groups(lake: Lake, wanted: Wanted) -> list[dict[str, Any]]:
    """Open and resolved letters by contract, code and path, with the first and last time; the most open first."""
    query = _opened(lake)
    if query is None:
        return []
    return query.rows(
        "select contract, code, path, count(*) - count(resolution) as open, count(resolution) as resolved,"
        f" min(at) as first, max(at) as last from letters where {wanted.sql()}"
        " group by contract, code, path order by open desc, contract, code, path"
    )


def listed(lake: Lake, wanted: Wanted, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` letters with their coordinates; `resolution` is null for an open one."""
    query = _opened(lake)
    if query is None:
        return []
    return query.rows(
        f"select {_PLACE}, contract, code, path, schema_id, contract_version, at, resolution from letters"
        f" where {wanted.sql()} order by at desc, {_PLACE} limit {limit}"
    )


def explained(lake: Lake, contracts: Mapping[str, Contract], topic: str, partition: int, offset: int) -> dict[str, Any]:
    """All that is known of one letter: itself, its record in raw (sizes and times only), its writer's schema, its rule.

    Raises NoDeadLetter when nothing at these coordinates was refused.
    """
    query = _opened(lake)
    place = f'topic = {text(topic)} and "partition" = {partition} and "offset" = {offset}'
    found = query.rows(f"select * from letters where {place} order by at desc limit 1") if query else []
    if query is None or not found:
        raise NoDeadLetter(
            "no record with these coordinates was refused",
            where=f"{topic}:{partition}:{offset}",
            fix="find it: caudal deadletters show",
        )
    [letter] = found
    contract = contracts.get(letter["contract"])
    return {
        "letter": letter,
        "raw": _raw(lake, place),
        "schema": _schema(lake, letter),
        "rule": _rule(contract, letter),
    }


def _opened(lake: Lake) -> Query | None:
    """`letters`: every dead letter with its resolution (replayed, purged); None before the first table was made."""
    if not lake.has_table("quarantine", "dead_letters"):
        return None
    query = Query(lake)
    query.table("dead", "quarantine", "dead_letters")
    resolved = purged = f"select {_PLACE}, _batch, cast(null as varchar) as resolution from dead where false"
    if lake.has_table("quarantine", "resolutions"):
        query.table("marks", "quarantine", "resolutions")
        resolved = RESOLVED_SQL
    if lake.has_table("ops", "purges"):
        query.table("purges", "ops", "purges")
        purged = PURGED_SQL
    query.view(
        "letters",
        "select dead.*, coalesce(r.resolution, p.resolution) as resolution from dead "
        f"left join ({resolved}) r using ({_PLACE}, _batch) left join ({purged}) p using ({_PLACE}, _batch)",
    )
    return query


def _raw(lake: Lake, place: str) -> dict[str, Any] | None:
    """Sizes and times of the record; its bytes are nobody's to see."""
    if not lake.has_table("raw", "events"):
        return None
    query = Query(lake)
    query.table("events", "raw", "events")
    rows = query.rows(
        # there is no length of bytes in this dialect
        "select length(encode(\"key\", 'hex')) / 2 as key_bytes, length(encode(value, 'hex')) / 2 as value_bytes,"
        f" schema_id, _batch from events where {place} limit 1"
    )
    return rows[0] if rows else None


def _schema(lake: Lake, letter: Mapping[str, Any]) -> dict[str, Any] | None:
    if letter["schema_id"] is None or not lake.has_table("raw", "schemas"):
        return None
    query = Query(lake)
    query.table("schemas", "raw", "schemas")
    rows = query.rows(
        f"select schema_id, contract, version, fingerprint from schemas where schema_id = {int(letter['schema_id'])}"
        " limit 1"
    )
    return rows[0] if rows else None


def _rule(contract: Contract | None, letter: Mapping[str, Any]) -> str | None:
    """The text of the row rule that the record breaks."""
    if contract is None:
        return None
    return next((rule.rule for rule in contract.quality if rule.dead_letter_code == letter["code"]), None)
