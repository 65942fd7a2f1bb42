"""Published gold: the manifest, loaded once per request, and tables opened at exactly its versions.

Opened tables are kept by (path, table id, version): a version never changes, so nothing has to be invalidated.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from caudal.errors import TransientError
from caudal.lake import Lake
from serving.api.errors import BadQuery, NotPublished, nearest
from serving.api.query import Column
from serving.api.scope import Relation, select

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.manifest import Manifest

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class Mart:
    """One published mart. `rows` counts all tenants: it is for operators only."""

    name: str
    group: str
    cycle: str
    published_ms: int
    path: str
    table_id: str
    version: int
    rows: int

    @property
    def tag(self) -> str:
        """The published version as a word; the table's id is in it because a rebuilt table is another."""
        return f"{self.name}.{self.table_id[:8]}.{self.version}"

    @property
    def etag(self) -> str:
        """The tag as HTTP writes it. Weak: the same rows may come as other bytes."""
        return f'W/"{self.tag}"'

    def version_of(self, tag: str) -> int | None:
        """The version that a tag of this very table names, in either form; None for all else."""
        name, _, version = tag.removeprefix("W/").strip('"').rpartition(".")
        digits = version.isascii() and version.isdigit() and len(version) < 16
        same = name == f"{self.name}.{self.table_id[:8]}"
        return int(version) if same and digits and int(version) <= self.version else None


@dataclass(frozen=True)
class Gold:
    """All marts that the manifest of one moment names."""

    number: int
    marts: Mapping[str, Mart]
    missing: tuple[str, ...]
    """Publish groups that have not published yet."""

    def mart(self, name: str) -> Mart:
        """The mart of that name. Raises NotPublished while a group is still to come, else BadQuery."""
        if name in self.marts:
            return self.marts[name]
        if self.missing:
            raise NotPublished(f"group {', '.join(self.missing)} has not passed its first gate")
        raise BadQuery("there is no such mart", where="mart", fix=nearest(name, self.marts))


class Kept(Generic[K, V]):
    """The latest `most` values by key, each made once; safe between threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[K, Future[V]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The kept value, or a made one. Who asks while another makes it waits; a failure is told to all of them."""
        with self._lock:
            found = self._values.get(key)
            mine = found is None
            if found is None:
                found = self._values[key] = Future()
            self._values.move_to_end(key)
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        if mine:
            try:
                found.set_result(make())
            except BaseException as error:  # noqa: BLE001  whoever waits hears it too
                with self._lock:
                    self._values.pop(key, None)
                found.set_exception(error)
        return found.result()


class Reader:
    """Reads published gold from one lake."""

    def __init__(self, lake: Lake, *, groups: tuple[str, ...], open_tables: int) -> None:
        # seconds of imports that the first request would else wait for
        import deltalake  # noqa: F401
        import pyarrow.compute  # noqa: F401

        self._lake, self.groups = lake, groups
        self._tables: Kept[tuple[str, int, str], Relation] = Kept(open_tables)
        self._counts: Kept[tuple[str, int, str, str], int] = Kept(open_tables * 16)

    def current(self) -> Gold:
        """The published state now. Raises NotPublished when no group has published."""
        from schemas.manifest import load_current

        manifest = load_current(self._lake)
        if manifest is None or not manifest.groups:
            raise NotPublished("no cycle has passed its gate since this lake was made")
        return self._gold(manifest)

    def was_published(self, mart: Mart, version: int, since_ms: int) -> bool:
        """Whether readers could see that version of the mart, and still could at `since_ms` (epoch).

        What never passed a gate must not be reached by its number, nor what an erasure replaced long ago.
        """
        from schemas.manifest import load, load_current

        manifest = load_current(self._lake)
        while manifest is not None and mart.group in manifest.groups:
            entry = manifest.groups[mart.group]
            table = entry.tables.get(mart.name)
            if table is not None and (table.table_id, table.version) == (mart.table_id, version):
                return True
            if entry.published_at_ms < since_ms or manifest.number <= 1:
                return False
            manifest = load(self._lake, manifest.number - 1)
        return False

    def _gold(self, manifest: Manifest) -> Gold:
        marts = {
            name: Mart(
                name,
                group,
                str(entry.cycle),
                entry.published_at_ms,
                self._lake.address(table.path),
                table.table_id,
                table.version,
                table.rows,
            )
            for group, entry in manifest.groups.items()
            for name, table in entry.tables.items()
        }
        return Gold(manifest.number, marts, tuple(g for g in self.groups if g not in manifest.groups))

    def open(self, path: str, version: int, table_id: str = "") -> Relation:
        """The table at that version. Raises TransientError when storage does not answer."""
        from deltalake import DeltaTable

        options = self._lake.storage_options
        try:
            return self._tables.get(
                (path, version, table_id), lambda: Relation(DeltaTable(path, version=version, storage_options=options))
            )
        except Exception as error:
            raise TransientError(
                "a published table cannot be opened",
                where=f"version {version}",
                why=type(error).__name__,
                fix="see the runbook under CDL-GOLD-OPEN",
                code="CDL-GOLD-OPEN",
            ) from error

    def columns(self, table: Relation) -> tuple[Column, ...]:
        """The columns that may be asked for, in the table's order; binary ones are not shown."""
        return tuple(Column(f["name"], kind(f["type"])) for f in table.fields if f["type"] != "binary")

    def count(self, mart: Mart, tenant: str | None) -> int:
        """Rows of one tenant, or of all for None."""
        if tenant is None:
            return mart.rows

        def counted() -> int:
            table = self.open(mart.path, mart.version, mart.table_id)
            return int(select(table, tenant, "SELECT count(*) AS n FROM mart").to_pylist()[0]["n"])

        return self._counts.get((mart.path, mart.version, mart.table_id, tenant), counted)


def kind(delta_type: object) -> str:
    """The kind of a Delta column's type, as `query.Column` names it."""
    if not isinstance(delta_type, str):
        return "other"
    if delta_type.startswith("decimal"):
        return "decimal"
    return {
        "string": "text",
        "long": "integer",
        "integer": "integer",
        "short": "integer",
        "byte": "integer",
        "double": "double",
        "float": "double",
        "boolean": "boolean",
        "date": "date",
        "timestamp": "time",
    }.get(delta_type, "other")
