"""Every node of the graph as the catalogue tells it: what it is, what it holds now, and how good it is. Reads only.

One table is `{id, layer, name, description, owner, contract, group, columns, promised_s, above, below, upstream,
downstream, exposures, checks, verdict, state, samples}`. `state` is None for what holds no data, or none yet:
`{address, version, at_ms, age_s, rows, files, bytes, published, versions}`; `versions` are the newest first. Each
column has its personal-data class with a made-up mask of it, the columns that it is made of and those made of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch.lineage import assemble
from batch.lineage.graph import LAYERS, STORED, Column, Graph, Node
from caudal.lake import Lake
from caudal.query import Query
from quality import results
from quality.marts import GROUPS
from schemas.manifest import Group, load_current

if TYPE_CHECKING:
    from deltalake import DeltaTable

VERSIONS = 20
"""Commits shown of a table."""
SAMPLES = 5
CELL = 80
"""Characters shown of a value: a sample is to recognise a column by, not to read."""
# How Delta's writers call the rows that a commit wrote.
_WRITTEN = ("numOutputRows", "numTargetRowsInserted", "num_added_rows", "num_output_rows")
# Columns that may be shown: what no tag names, and masks. Tokens, references and coordinates may not.
_SHOWN = {"silver": ("field", "mask"), "gold": ("", "mask")}


@dataclass(frozen=True)
class Known:
    """What is known besides the graph: what is published, and how the checks of each table ended last."""

    published: Mapping[str, tuple[int, Group]]
    checks: Mapping[str, tuple[Mapping[str, Any], ...]]


def build(lake: Lake, graph: Graph, now_ms: int, *, samples: bool = False) -> dict[str, Any]:
    """The whole catalogue, JSON-ready. `samples` are some values of columns that hold nothing personal, or masks."""
    known = Known(_published(lake), _checks(lake))
    ordered = sorted(graph.nodes.values(), key=lambda node: (LAYERS.index(node.layer), node.id))
    tables = [_table(lake, graph, node, known, now_ms, samples=samples) for node in ordered]
    return {"made_ms": now_ms, "tables": tables, "edges": sorted([above, n.id] for n in ordered for above in n.reads)}


def _table(lake: Lake, graph: Graph, node: Node, known: Known, now_ms: int, *, samples: bool) -> dict[str, Any]:
    published = known.published.get(node.id)
    opened = _opened(lake, node) if node.layer in STORED - {"topic"} else None
    checks = known.checks.get(node.id, ())
    below = sorted(graph.below(node.id))
    return {
        "id": node.id,
        "layer": node.layer,
        "name": node.name,
        "description": node.description,
        "owner": node.owner,
        "contract": node.contract,
        "group": node.group,
        "columns": [_column(graph, node, one) for one in node.columns],
        "promised_s": node.promised_s,
        "above": sorted(node.reads),
        "below": sorted(graph.readers.get(node.id, ())),
        "upstream": sorted(graph.above(node.id)),
        "downstream": below,
        "exposures": [name for name in below if name.startswith("exposure.")],
        "checks": list(checks),
        "verdict": _verdict(checks),
        "state": _state(lake, node, opened, published, now_ms) if opened else None,
        "samples": _samples(lake, node, opened, published) if opened and samples and node.layer in _SHOWN else None,
    }


def _column(graph: Graph, node: Node, column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "description": column.description,
        "unit": column.unit,
        "pii": column.pii,
        "mask": assemble.mask_of(column.pii) if node.layer != "topic" else "",
        "made_of": [{"table": one.node, "column": one.column, "how": one.how.lower()} for one in column.origins],
        "used_by": [{"table": name, "column": of_it} for name, of_it in graph.made_of_it(node.id, column.name)],
    }


def _state(
    lake: Lake, node: Node, opened: DeltaTable, published: tuple[int, Group] | None, now_ms: int
) -> dict[str, Any]:
    import pyarrow

    added = pyarrow.table(opened.get_add_actions(flatten=True))
    history = opened.history(VERSIONS)
    at_ms = published[1].published_at_ms if published else int(history[0]["timestamp"]) if history else now_ms
    rows = sum(count or 0 for count in added.column("num_records").to_pylist())
    if published:
        rows = published[1].tables[node.name].rows
    return {
        "address": lake.table(node.layer, node.name),
        "version": published[0] if published else opened.version(),
        "at_ms": at_ms,
        "age_s": round(max(0, now_ms - at_ms) / 1000, 1),
        "rows": rows,
        "files": added.num_rows,
        "bytes": sum(added.column("size_bytes").to_pylist()),
        "published": published is not None,
        "versions": [_version(entry) for entry in history],
    }


def _version(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A commit without its user metadata: that is the ledger's."""
    numbers = entry.get("operationMetrics") or {}
    written = next((numbers[name] for name in _WRITTEN if numbers.get(name) is not None), None)
    return {
        "version": int(entry["version"]),
        "at_ms": int(entry["timestamp"]),
        "operation": str(entry.get("operation", "")),
        "rows": None if written is None else int(written),
    }


def _samples(lake: Lake, node: Node, opened: DeltaTable, published: tuple[int, Group] | None) -> dict[str, Any]:
    there = {field.name for field in opened.schema().fields}
    shown = [one.name for one in node.columns if one.role in _SHOWN[node.layer] and one.name in there]
    if not shown:
        return {"columns": [], "rows": []}
    query = Query(lake)
    query.table("sampled", node.layer, node.name, published[0] if published else None)
    listed = ", ".join(f'"{name}"' for name in shown)
    rows = query.rows(f"select {listed} from sampled limit {SAMPLES}")
    return {"columns": shown, "rows": [[_cell(row[name]) for name in shown] for row in rows]}


def _cell(value: object) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= CELL else text[: CELL - 1] + "…"


def _opened(lake: Lake, node: Node) -> DeltaTable | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    address = lake.table(node.layer, node.name)
    if not address.startswith("s3") and not Path(address).is_dir():
        return None
    try:
        return DeltaTable(address, storage_options=lake.storage_options or None)
    except TableNotFoundError:
        return None


def _published(lake: Lake) -> dict[str, tuple[int, Group]]:
    manifest = load_current(lake)
    groups = manifest.groups.values() if manifest else ()
    return {f"gold.{mart}": (table.version, group) for group in groups for mart, table in group.tables.items()}


def _checks(lake: Lake) -> dict[str, tuple[Mapping[str, Any], ...]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for group in GROUPS:
        latest = results.latest(lake, group) or {"results": ()}
        for one in latest["results"]:
            kept = ("code", "ok", "severity", "checked", "failing", "observed", "detail")
            check = {key: one.get(key) for key in kept} | {"at_ms": latest["at_ms"], "cycle": latest["cycle"]}
            found.setdefault(f"{one['layer']}.{one['table']}", []).append(check)
    return {name: tuple(checks) for name, checks in found.items()}


def _verdict(checks: Iterable[Mapping[str, Any]]) -> str:
    """critical, warning or ok: the worst that a check of the table said; empty when none ran."""
    listed = list(checks)
    failed = {one["severity"] for one in listed if not one["ok"]}
    return next((worst for worst in ("critical", "warning") if worst in failed), "ok" if listed else "")
