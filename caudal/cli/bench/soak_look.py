"""What the soak looks at from outside, without a JVM: files, logs, and the age of what silver holds."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
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


def ages(lake: Lake, names: Iterable[str], since_ms: int) -> pa.Table:
    """Of each row in these silver tables published since then: when (`at`, epoch ms), and after how many seconds the
    commit that holds it was made (`age`)."""
    return pa.concat_tables([_ages(lake, name, since_ms) for name in names])


def p95(found: pa.Table, first_ms: float, last_ms: float) -> float | None:
    """Age at P95 of what was published in [first, last); None for nothing."""
    within = pc.and_(pc.greater_equal(found["at"], first_ms), pc.less(found["at"], last_ms))
    mine = found.filter(within)["age"]
    return round(float(pc.quantile(mine, q=0.95)[0].as_py()), 2) if len(mine) else None


def _ages(lake: Lake, name: str, since_ms: int) -> pa.Table:
    opened = DeltaTable(lake.table("silver", name), storage_options=lake.storage_options or None)
    made_at = {int(entry["version"]): int(entry["timestamp"]) for entry in opened.history()}
    query = Query(lake)
    query.table("t", "silver", name)
    since = datetime.fromtimestamp(since_ms / 1000, UTC).isoformat()
    rows = query.arrow(f"SELECT _version, _published_at FROM t WHERE _published_at >= timestamp '{since}'")
    published = rows["_published_at"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    commits = pc.index_in(rows["_version"], pa.array(list(made_at), pa.int64()))
    made = pc.take(pa.array(list(made_at.values()), pa.int64()), commits)
    return pa.table({"at": published, "age": pc.divide(pc.subtract(made, published), 1000.0)})
