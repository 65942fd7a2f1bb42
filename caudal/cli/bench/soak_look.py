"""What the soak looks at from outside, without a JVM: files and logs."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from caudal.lake import Lake
from caudal.query import Query
from streaming.tables import LEDGER


def tables(lake: Lake) -> list[Path]:
    """Folders of all Delta tables of a local lake."""
    return [path.parent for path in Path(lake.uri).glob("*/*/_delta_log")]


def live_files(table: Path) -> int:
    """Data files of the newest version; none when the table is being made."""
    if not any((table / "_delta_log").glob("*.json")):
        return 0
    return int(pa.table(DeltaTable(str(table)).get_add_actions(flatten=True)).num_rows)


def log_files(table: Path) -> tuple[int, int]:
    """Files in a table's log, and commits behind its newest checkpoint."""
    names = [path.name for path in (table / "_delta_log").iterdir()]
    numbered = [(int(name[:20]), name) for name in names if name[:20].isdigit()]
    newest = max((number for number, name in numbered if ".checkpoint" in name), default=-1)
    return len(names), sum(1 for number, name in numbered if name.endswith(".json") and number > newest)


def read(lake: Lake) -> int:
    """Records that the ledger's table accounts for."""
    if not lake.has_table(*LEDGER):
        return 0
    query = Query(lake)
    query.table("ledger", *LEDGER)
    return int(query.one("SELECT coalesce(sum(read), 0) FROM ledger"))


def p95(found: pa.Table, first_ms: float, last_ms: float) -> float | None:
    """Age at P95 of what was published in [first, last); None for nothing."""
    within = pc.and_(pc.greater_equal(found["at"], first_ms), pc.less(found["at"], last_ms))
    mine = found.filter(within)["age"]
    return round(float(pc.quantile(mine, q=0.95)[0].as_py()), 2) if len(mine) else None
