"""The one step that readers notice: the manifest's entry of a group is replaced, whole, by gated versions."""

from __future__ import annotations

from batch import gold, record
from batch.errors import NotGated
from batch.record import Record
from caudal.clock import Clock
from caudal.fault import crashpoint
from caudal.lake import Lake
from schemas.manifest import Group, Manifest, TableVersion
from schemas.manifest import publish as write_manifest


def publish(lake: Lake, clock: Clock, passed: Record) -> Manifest:
    """Publish the versions of a cycle whose gate passed; idempotent: a second call changes nothing that readers see.

    Raises NotGated when the record's gate did not pass, or when a table is no longer at the version that was gated.
    """
    if passed.state not in ("passed", "published"):
        raise NotGated("the gate of this cycle has not passed", where=passed.cycle, fix="build again")
    heads = gold.heads(lake, passed.tables)
    for mart, built in passed.tables.items():
        head = heads.get(mart)
        if head is None or (head.version, head.table_id) != (built.version, built.table_id):
            raise NotGated(
                f"mart {mart} is no longer at the version that was gated", where=passed.cycle, fix="build again"
            )
    manifest = write_group(lake, passed, clock.now_ms())
    crashpoint("mid-publish")
    record.save(lake, record.close(passed, "published"))
    return manifest


def write_group(lake: Lake, source: Record, published_at_ms: int) -> Manifest:
    """Replace the group's entry by the tables of a record."""
    tables = {
        mart: TableVersion(path=f"gold/{mart}", table_id=built.table_id, version=built.version, rows=built.rows)
        for mart, built in source.tables.items()
    }
    entry = Group(
        cycle=source.cycle,
        published_at_ms=published_at_ms,
        silver_versions=dict(source.silver_versions),
        tables=tables,
    )
    return write_manifest(lake, source.group, entry)
