"""One publish: what moved, brought to PostgreSQL in one transaction, checked, and seen by all readers at once."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from caudal.errors import TransientError
from caudal.fault import crashpoint
from caudal.lake import Lake
from schemas.manifest import load_current
from serving.warehouse import changes, load, plan, reconcile, roles, tables
from serving.warehouse.errors import Away
from serving.warehouse.plan import Declared, Known, Wanted
from serving.warehouse.settings import WarehouseSettings
from serving.warehouse.shape import Shape, shape

if TYPE_CHECKING:
    from psycopg import Connection

    from serving.warehouse.changes import Difference, Version

# One publisher at a time. Any number that nobody else of this database takes.
_LOCK = 0x0CAD_A1_60_1D
MIB = 2**20


@dataclass(frozen=True)
class Copied:
    """How one mart came: `whole`, or by `changes` of so many rows out and in. `seconds` with its reconciliation."""

    mart: str
    how: str
    rows: int
    gone: int
    came: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """What a publish did. `manifest` is the number that PostgreSQL shows now; 0 when no gold is published yet."""

    manifest: int
    copied: tuple[Copied, ...] = ()
    dropped: tuple[str, ...] = ()
    undeclared: tuple[str, ...] = ()


@dataclass(frozen=True)
class Move:
    """A mart that is being copied: what it shall be, and how it is there now."""

    wanted: Wanted
    now: Version
    shape: Shape
    known: Known | None

    @property
    def mart(self) -> str:
        return self.wanted.declared.name


def publish(
    link: Connection,
    lake: Lake,
    declared: Mapping[str, Declared],
    settings: WarehouseSettings,
    *,
    whole: Collection[str] | None = (),
) -> Report:
    """Bring PostgreSQL to the lake's current manifest; nothing to do is cheap. Idempotent.

    Marts in `whole` (None: all) are copied anew. All or nothing: on any error the transaction is rolled back, and
    readers keep what they had.

    Raises:
        Unreconciled: a copy is not what the lake holds.
        Unfit, NoType, WarehouseError: it cannot be published like this.
        Away, TransientError: PostgreSQL or the lake does not answer now.
    """
    with link.transaction():
        granted = roles.prepare(link)
    with link.transaction():
        _alone(link, settings)
        # read under the lock, so that a slower publisher cannot put an older state over a newer one
        manifest = load_current(lake)
        if manifest is None:
            return Report(0)
        known = plan.read(link)
        todo = plan.plan(manifest, known, declared, whole)
        moves = [_opened(lake, one, known.get(one.declared.name)) for one in todo.moved]
        copied = [_copy(link, lake, move, granted, settings, fresh=_named(whole, move.mart)) for move in moves]
        # last, since from here on queries wait for the replaced tables
        for move, done in zip(moves, copied, strict=True):
            if done.how == "whole":
                tables.swap(link, move.mart, move.shape, granted, move.known.masked if move.known else None)
        for mart in todo.dropped:
            tables.drop(link, mart, known[mart].masked)
        plan.remember(link, manifest, todo, {move.mart: move.shape.record() for move in moves})
        crashpoint("warehouse-publish")
    return Report(manifest.number, tuple(copied), todo.dropped, todo.undeclared)


def _alone(link: Connection, settings: WarehouseSettings) -> None:
    link.execute("SELECT set_config('lock_timeout', %s, true)", [f"{int(settings.lock_timeout_s * 1000)}ms"])
    taken = link.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]).fetchone()
    if taken != (True,):
        raise Away("another process publishes now", fix="it is tried again")


def _opened(lake: Lake, wanted: Wanted, known: Known | None) -> Move:
    now = changes.opened(lake, lake.address(wanted.version.path), wanted.version.version)
    fields: list[dict[str, Any]] = json.loads(now.table.schema().to_json())["fields"]
    declared = wanted.declared
    return Move(wanted, now, shape(fields, declared.key, declared.masks), known)


def _copy(
    link: Connection, lake: Lake, move: Move, granted: roles.Roles, settings: WarehouseSettings, *, fresh: bool
) -> Copied:
    """Bring one mart's rows, by what changed if that can be told, and count both sides."""
    started = time.perf_counter()
    differences = None if fresh else _changes(lake, move, settings)
    if differences is None:
        place = tables.create(link, move.mart, move.shape)
        rows = load.fill(link, place, move.now.read(move.now.files.values(), move.shape.names))
        how, gone, came = "whole", 0, rows
    else:
        place = tables.place(move.mart, move.shape)
        for difference in differences:
            load.apply(link, place, move.shape, difference)
        how = "changes"
        gone, came = (sum(len(getattr(d, side)) for d in differences) for side in ("gone", "came"))
    totals = reconcile.in_lake(move.now.table, move.shape)
    reconcile.compare(move.mart, totals, reconcile.in_warehouse(link, place, move.shape))
    if differences is None:
        tables.finish(link, move.mart, move.shape, move.wanted.declared.description, granted)
    return Copied(move.mart, how, int(totals["rows"] or 0), gone, came, round(time.perf_counter() - started, 3))


def _changes(lake: Lake, move: Move, settings: WarehouseSettings) -> list[Difference] | None:
    """What to apply, in order, to what PostgreSQL has; None when only a whole copy will do."""
    known, path, wanted = move.known, lake.address(move.wanted.version.path), move.wanted.version
    if known is None or not move.shape.key or move.shape.record() != known.shape or known.version > wanted.version:
        return None
    found: list[Difference] = []
    try:
        if known.table_id != wanted.table_id:
            # replaced by another table: its log may go on, or have begun anew under the same numbers
            before = changes.opened(lake, path, known.version)
            if str(before.table.metadata().id) != known.table_id:
                return None
        laid_out = changes.layouts(move.now.storage, known.version, wanted.version)
        for start, end in changes.runs(known.version, wanted.version, laid_out):
            old = changes.opened(lake, path, start)
            new = move.now if end == wanted.version else changes.opened(lake, path, end)
            gone, came = changes.differing(old, new)
            if sum(file.size for file in (*gone, *came)) > settings.most_changed_mib * MIB:
                return None
            names = move.shape.names
            found.append(changes.difference(old.read(gone, names), new.read(came, names), move.shape.key))
    except TransientError:
        # An old version is gone: a whole copy needs the new one only, and says so itself when that is away.
        return None
    return found


def _named(whole: Collection[str] | None, mart: str) -> bool:
    return whole is None or mart in whole
