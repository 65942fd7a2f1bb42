"""What is too old for a contract: rows of its tables, and up to which batch its records in raw.

Raw goes by whole lines of the ledger, and nothing goes that is still to be decided.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from caudal.errors import UsageError
from caudal.query import Query, text
from schemas import duration
from schemas.contract import Contract
from schemas.tables import DELETED_AT, column_of
from streaming import tables
from streaming.when import When, first_batch

if TYPE_CHECKING:
    from streaming.worker import Shop, Worker


def horizon(shop: Shop, worker: Worker) -> datetime:
    """What is older than this the contract does not keep in tables."""
    return shop.clock.now() - worker.contract.retention.tables


def expired(contract: Contract, before: datetime) -> str:
    """SQL that is true for rows of silver which are older."""
    time = f"`{column_of(contract, contract.event_time)}`"
    age = time if contract.mode == "append" else f"coalesce(`{DELETED_AT.name}`, {time})"
    return f"{age} < {_moment(before)}"


def ended(contract: Contract, before: datetime) -> str:
    """SQL that is true for versions in a history which ended before that, and for the current ones of older rows."""
    return f"((NOT _current AND _valid_to < {_moment(before)}) OR (_current AND {expired(contract, before)}))"


def _moment(at: datetime) -> str:
    return f"TIMESTAMP '{at.astimezone(UTC).isoformat(timespec='microseconds')}'"


def older(shop: Shop, worker: Worker, before: When | None) -> int:
    """The last raw batch of the contract all of whose records came before `before` (None: all that is past its
    retention) and may go; 0 for none.

    Only what silver has decided goes, in steps that the ledger and replays made as one, so that the rest can still be
    accounted for. The ledger must be flushed. Raises UsageError when the contract keeps records for longer.
    """
    contract = worker.contract
    query = Query(shop.lake)
    query.table("raw", *tables.RAW)
    allowed = first_batch(query, horizon(shop, worker), contract.topic)
    wanted = allowed if before is None else first_batch(query, before, contract.topic)
    late = isinstance(before, datetime) and before.astimezone(UTC) > horizon(shop, worker)
    if wanted > allowed or late:
        raise UsageError(
            "the contract keeps these records", where=contract.id,
            why=f"retention.tables is {duration.render(contract.retention.tables)}",
            fix="name an earlier moment, or shorten the contract's retention",
        )  # fmt: skip
    upto = min(wanted - 1, worker.covered, *(parked.first_batch - 1 for parked in shop.ledger.parked(contract.id)))
    query.table("ledger", *tables.LEDGER)
    query.table("marks", *tables.RESOLUTIONS)
    orders = [
        json.loads(row["asked"]) for row in query.rows("SELECT DISTINCT asked FROM marks WHERE asked IS NOT NULL")
    ]
    pieces = [(o["first"], o["last"]) for o in orders if o["contract"] == contract.id]
    while upto > 0:
        line = query.one(
            "SELECT coalesce(max(batch), 0) FROM (SELECT silver_version, batch FROM ledger WHERE contract = "
            f"{text(contract.id)} AND batch <= {upto} GROUP BY silver_version, batch HAVING sum(read) > 0)"
        )
        split = [first - 1 for first, last in pieces if first <= line < last]
        if not split:
            return int(line)
        upto = min(split)
    return 0


def purged_upto(shop: Shop, contract_id: str) -> int:
    """The last raw batch of which a contract's records were all purged, with all before it; 0 for none."""
    query = Query(shop.lake)
    query.table("purges", *tables.PURGES)
    return int(
        query.one(f"SELECT coalesce(max(_batch), 0) FROM purges WHERE contract = {text(contract_id)} AND code IS NULL")
    )
