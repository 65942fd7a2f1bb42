"""Gold's tables as the Delta log has them. Needs no JVM."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from caudal.lake import Lake


@dataclass(frozen=True)
class Head:
    """The newest version of a mart's table, its id, its live files and its rows (by Delta's own statistics)."""

    version: int
    table_id: str
    files: int
    rows: int


def heads(lake: Lake, marts: Iterable[str]) -> dict[str, Head]:
    """The heads of those marts that have a table."""
    found = ((mart, head(lake, mart)) for mart in marts)
    return {mart: one for mart, one in found if one is not None}


def head(lake: Lake, mart: str) -> Head | None:
    """The head of one mart, or None when it has no table."""
    import pyarrow
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    address = lake.table("gold", mart)
    if not address.startswith("s3") and not Path(address).is_dir():
        return None
    try:
        table = DeltaTable(address, storage_options=lake.storage_options)
    except TableNotFoundError:
        return None
    counts = pyarrow.table(table.get_add_actions(flatten=True)).column("num_records").to_pylist()
    return Head(table.version(), str(table.metadata().id), len(counts), sum(count or 0 for count in counts))
