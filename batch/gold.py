"""Gold's tables as the Delta log has them. Needs no JVM."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caudal.lake import Lake

if TYPE_CHECKING:
    import pyarrow

TENANT = "tenant_id"


@dataclass(frozen=True)
class Head:
    """The newest version of a mart's table, its id, its live files and its rows (by Delta's own statistics).

    `tenant_files` is how many files one tenant's query reads at most, None where the table is not clustered by tenant.
    """

    version: int
    table_id: str
    files: int
    rows: int
    tenant_files: int | None = None


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
    added = pyarrow.table(table.get_add_actions(flatten=True))
    counts = added.column("num_records").to_pylist()
    clustered = "clustering" in (table.protocol().writer_features or ())
    return Head(
        table.version(),
        str(table.metadata().id),
        len(counts),
        sum(count or 0 for count in counts),
        depth(added, TENANT) if clustered else None,
    )


def depth(added: pyarrow.Table, column: str) -> int:
    """The most files that a query for one value of a column has to read, by the files' minima and maxima.

    `added` are Delta's add actions, flattened. Files without statistics, or with a null bound, count for every value.
    """
    lowest, highest = f"min.{column}", f"max.{column}"
    if lowest not in added.column_names:
        return int(added.num_rows)
    bounds = list(zip(added.column(lowest).to_pylist(), added.column(highest).to_pylist(), strict=True))
    known = [(low, high) for low, high in bounds if low is not None and high is not None]
    # At any value the open ranges are those that began and have not ended; a range still holds its own maximum.
    ends = sorted([(low, 0, 1) for low, _ in known] + [(high, 1, -1) for _, high in known])
    open_now = itertools.accumulate(change for _, _, change in ends)
    return max(open_now, default=0) + len(bounds) - len(known)
