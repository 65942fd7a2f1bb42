"""What the manifest moved since the last publish."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg import Connection

    from schemas.manifest import Group, Manifest, TableVersion


@dataclass(frozen=True)
class Declared:
    """What a mart's YAML says of it that its table does not: key, masks, and a sentence for people."""

    name: str
    key: tuple[str, ...] = ()
    masks: frozenset[str] = frozenset()
    description: str = ""


@dataclass(frozen=True)
class Known:
    """What PostgreSQL has of a mart now. `shape` is `Shape.record`."""

    version: int
    table_id: str
    shape: Mapping[str, Any] = field(default_factory=dict)

    @property
    def masked(self) -> bool:
        return any(mask for _, _, mask in self.shape.get("columns", ()))


@dataclass(frozen=True)
class Wanted:
    """A mart of the manifest, with the group it was published in."""

    declared: Declared
    group: str
    entry: Group
    version: TableVersion


@dataclass(frozen=True)
class Plan:
    """Marts that moved, marts that are there as they should be, names to drop, and names that no YAML declares."""

    moved: tuple[Wanted, ...]
    same: tuple[Wanted, ...]
    dropped: tuple[str, ...]
    undeclared: tuple[str, ...]


def plan(
    manifest: Manifest,
    known: Mapping[str, Known],
    declared: Mapping[str, Declared],
    whole: Collection[str] | None = (),
) -> Plan:
    """Compare the manifest with what is there. Marts in `whole` move in any case; None is all of them.

    A mart that no YAML declares is not copied: nobody could say which of its columns are masks.
    """
    wanted = {
        mart: Wanted(declared[mart], name, group, version)
        for name, group in manifest.groups.items()
        for mart, version in group.tables.items()
        if mart in declared
    }

    def moved(mart: str) -> bool:
        there, version = known.get(mart), wanted[mart].version
        named = whole is None or mart in whole
        return named or there is None or (there.version, there.table_id) != (version.version, version.table_id)

    return Plan(
        moved=tuple(wanted[mart] for mart in sorted(wanted) if moved(mart)),
        same=tuple(wanted[mart] for mart in sorted(wanted) if not moved(mart)),
        dropped=tuple(sorted(known.keys() - wanted.keys())),
        undeclared=tuple(sorted(manifest.tables.keys() - declared.keys())),
    )


def read(link: Connection) -> dict[str, Known]:
    """What is published in PostgreSQL now, by mart."""
    rows = link.execute("SELECT mart, version, table_id, shape FROM caudal.published").fetchall()
    return {mart: Known(version, table_id, shape) for mart, version, table_id, shape in rows}


def remember(link: Connection, manifest: Manifest, done: Plan, shapes: Mapping[str, Mapping[str, Any]]) -> None:
    """Write down what is published now. `shapes` are those of the marts that moved."""
    with link.cursor() as cursor:
        if done.dropped:
            cursor.execute("DELETE FROM caudal.published WHERE mart = ANY(%s)", [list(done.dropped)])
        cursor.executemany(_REMEMBER, [_row(manifest, one, shapes.get(one.declared.name)) for one in done.moved])
        cursor.executemany(_AGAIN, [_row(manifest, one, None) for one in done.same])


def _row(manifest: Manifest, one: Wanted, shape: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "mart": one.declared.name,
        "group": one.group,
        "cycle": one.entry.cycle,
        "published_s": one.entry.published_at_ms / 1000,
        "manifest": manifest.number,
        "version": one.version.version,
        "table_id": one.version.table_id,
        "rows": one.version.rows,
        "shape": json.dumps(shape),
    }


_REMEMBER = """
    INSERT INTO caudal.published
        (mart, publish_group, cycle, version, published_at, copied_at, manifest, table_id, rows, shape)
    VALUES (%(mart)s, %(group)s, %(cycle)s, %(version)s, to_timestamp(%(published_s)s), now(), %(manifest)s,
        %(table_id)s, %(rows)s, %(shape)s)
    ON CONFLICT (mart) DO UPDATE SET
        publish_group = excluded.publish_group, cycle = excluded.cycle, version = excluded.version,
        published_at = excluded.published_at, copied_at = excluded.copied_at, manifest = excluded.manifest,
        table_id = excluded.table_id, rows = excluded.rows, shape = excluded.shape
"""
# A group is published as one: a mart that did not move is as new as the others.
_AGAIN = """
    UPDATE caudal.published
    SET publish_group = %(group)s, cycle = %(cycle)s, published_at = to_timestamp(%(published_s)s),
        manifest = %(manifest)s
    WHERE mart = %(mart)s
"""
