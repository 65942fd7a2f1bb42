"""Before a cycle: the group's tables are what readers see, or the group was never published.

A killed cycle leaves tables whose head nobody gated. RESTORE takes the published content back; it is itself a commit,
so the manifest is written again at once, with a record that says which gated cycle the content comes from.
"""

from __future__ import annotations

from collections.abc import Collection

from batch import gold, record
from batch.errors import NotGated
from batch.publish import publish, write_group
from batch.record import Built, Record
from batch.tools import Tools
from caudal import log
from schemas.manifest import load_current

_log = log.get("batch")


def settle(tools: Tools, group: str, marts: Collection[str]) -> Record | None:
    """Finish or undo what an earlier cycle of the group left. Returns the record that did so, if any.

    A cycle that died between its gate and its publish is published now, when its tables are still as gated. Anything
    else is undone.
    """
    left = record.load_open(tools.lake, group)
    if left is not None and left.state == "passed":
        try:
            publish(tools.lake, tools.clock, left)
            return left
        except NotGated:
            _log.info("an open cycle is given up: its tables have moved on", cycle=left.cycle, group=group)
    undone = undo(tools, group, marts)
    if left is not None and left.state != "published":
        record.save(tools.lake, record.close(left, "restored"))
    return undone


def undo(tools: Tools, group: str, marts: Collection[str]) -> Record | None:
    """Take the group's tables back to the published content. Returns the restoring record, None when all was well."""
    manifest = load_current(tools.lake)
    entry = manifest.groups.get(group) if manifest else None
    published = entry.tables if entry else {}
    for mart in marts:
        if mart not in published:
            tools.catalogue.detach(mart)
    if entry is None:
        return None
    heads = gold.heads(tools.lake, published)
    moved = {mart: table.version for mart, table in published.items() if heads[mart].version != table.version}
    if not moved:
        return None
    for mart, version in moved.items():
        tools.spark.sql(f"restore table delta.`{tools.catalogue.address(mart)}` to version as of {version}")
    after = gold.heads(tools.lake, published)
    restored = Record(
        cycle=record.new_cycle(tools.clock, group),
        group=group,
        state="restored",
        started_ms=tools.clock.now_ms(),
        silver_versions=dict(entry.silver_versions),
        tables={m: Built(after[m].version, after[m].table_id, table.rows) for m, table in published.items()},
        restored_from=moved,
        inherits=entry.cycle,
    )
    earlier = record.load(tools.lake, entry.cycle)
    if earlier is not None:
        restored = record.with_origin(restored, earlier)
    record.keep(tools.lake, restored)
    write_group(tools.lake, restored, entry.published_at_ms)
    _log.info("restored", group=group, cycle=restored.cycle, tables=sorted(moved))
    return restored
