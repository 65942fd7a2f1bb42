"""Which silver versions a cycle reads, and the SQL of the views that hold it to them. Needs no JVM."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caudal.commits import commit_info
from caudal.lake import Lake
from privacy.erased import erased_refs_path
from schemas.contract import Contract
from schemas.tables import (
    DEAD_LETTERS,
    LEDGER,
    PURGES,
    RESOLUTIONS,
    Column,
    history_columns,
    silver_columns,
)

if TYPE_CHECKING:
    from deltalake import DeltaTable

NEVER = -1
"""The version of what does not exist yet; every real version is newer."""
SILENT = ("DELETE", "RESTORE")
"""Operations that take rows away without leaving a row of a newer `_version` in their place."""


@dataclass(frozen=True)
class Table:
    """A table that a cycle may read: its name among the pins, where it lies in the lake, its columns."""

    name: str
    layer: str
    folder: str
    columns: tuple[Column, ...]


def tables(contracts: Iterable[Contract]) -> tuple[Table, ...]:
    """All tables that a cycle may read: silver's rows, and their history where one is kept."""
    found: list[Table] = []
    for one in contracts:
        found.append(Table(one.table, "silver", one.table, silver_columns(one)))
        if one.history:
            found.append(Table(one.history_table, "silver", one.history_table, history_columns(one)))
    return tuple(found)


def replaced(contracts: Iterable[Contract]) -> tuple[Table, ...]:
    """The tables whose rows are replaced by newer ones, so that a mart may need to know what was there before."""
    mutable = (one for one in contracts if one.mode != "append")
    return tuple(Table(one.table, "silver", one.table, silver_columns(one)) for one in mutable)


OPERATIONS = (
    Table("ops_ledger", "ops", "ledger", LEDGER),
    Table("ops_purges", "ops", "purges", PURGES),
    Table("quarantine_dead_letters", "quarantine", "dead_letters", DEAD_LETTERS),
    Table("quarantine_resolutions", "quarantine", "resolutions", RESOLUTIONS),
)
"""What streaming writes down about its own work; pinned like silver."""


@dataclass(frozen=True)
class Pin:
    """One table at one version. `columns` are those that the table had then; none when it does not exist."""

    table: str
    version: int
    columns: frozenset[str] = frozenset()


class Heads:
    """Newest versions of the tables. Opened tables are kept: another look reads only the commits since the last."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._open: dict[str, DeltaTable] = {}

    def look(self, contracts: Iterable[Contract]) -> dict[str, Pin]:
        """A pin on the newest version of each table, NEVER where streaming has not created it yet."""
        return {table.name: self._pin(table) for table in (*tables(contracts), *OPERATIONS)}

    def before(self, previous: Mapping[str, int], tables: Iterable[str]) -> dict[str, Pin] | None:
        """Pins on what these tables were at the versions `previous`; None when one cannot be read as it was."""
        found = {table: self._at(table, previous.get(table, NEVER)) for table in tables}
        kept = {table: pin for table, pin in found.items() if pin is not None}
        return kept if len(kept) == len(found) else None

    def _at(self, table: str, version: int) -> Pin | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError

        if version == NEVER:
            return Pin(table, NEVER)
        try:
            was = DeltaTable(self._lake.table("silver", table), version, storage_options=self._lake.storage_options)
        except DeltaError:
            return None
        return Pin(table, version, frozenset(field.name for field in was.schema().fields))

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Live files and their bytes, by table, of the tables as they were last looked at."""
        import pyarrow

        found: dict[str, tuple[int, int]] = {}
        for name, table in self._open.items():
            sizes = pyarrow.table(table.get_add_actions(flatten=True)).column("size_bytes").to_pylist()
            found[name] = (len(sizes), sum(sizes))
        return found

    def _pin(self, table: Table) -> Pin:
        found = self._table(table)
        if found is None:
            return Pin(table.name, NEVER)
        return Pin(table.name, found.version(), frozenset(field.name for field in found.schema().fields))

    def _table(self, table: Table) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        kept = self._open.get(table.name)
        if kept is not None:
            try:
                kept.update_incremental()
                return kept
            except DeltaError:
                # The log was cleaned up behind the kept table, or it was made anew: open it again.
                del self._open[table.name]
        address = self._lake.table(table.layer, table.folder)
        if _is_missing_folder(address):
            return None
        try:
            self._open[table.name] = DeltaTable(address, storage_options=self._lake.storage_options)
        except TableNotFoundError:
            return None
        return self._open[table.name]


def grew(lake: Lake, previous: Mapping[str, int], pins: Mapping[str, Pin]) -> bool:
    """Whether rows by `_version` tell all that changed in silver since the versions `previous`.

    They do not when rows left a table without a trace (retention, a restore), or when its log does not say any more.
    """
    infos = (
        commit_info(lake, "silver", table, version)
        for table, last in previous.items()
        for version in range(last + 1, pins[table].version + 1 if table in pins else 0)
    )
    return all(info is not None and info.get("operation") not in SILENT for info in infos)


def versions(pins: Mapping[str, Pin]) -> dict[str, int]:
    """Versions of the tables that exist."""
    return {name: pin.version for name, pin in sorted(pins.items()) if pin.version != NEVER}


def view_sql(table: Table, pin: Pin, lake: Lake, schema: str = "pinned") -> str:
    """The view `<schema>.<table>`: every column that is expected, null where the table does not have it (yet)."""
    listed = ", ".join(_column(column, pin) for column in table.columns)
    if pin.version == NEVER:
        return f"create or replace view {schema}.{pin.table} as select {listed} where false"
    address = lake.spark_table(table.layer, table.folder)
    origin = f"delta.`{address}` version as of {pin.version}"
    return f"create or replace view {schema}.{pin.table} as select {listed} from {origin}"


def pins_sql(pins: Mapping[str, Pin], previous: Mapping[str, int]) -> str:
    """The view `pinned._pins`: for each table the version of this cycle and the one that published gold holds."""
    rows = ", ".join(
        f"('{name}', bigint({pin.version}), bigint({previous.get(name, NEVER)}))" for name, pin in sorted(pins.items())
    )
    names = "table_name, version, previous_version"
    return f"create or replace view pinned._pins as select * from values {rows} as pins({names})"


def erased_sql(lake: Lake) -> str:
    """The view `pinned._erased` on the erased list as it is now; nobody, when there is no list."""
    from deltalake import DeltaTable

    address = erased_refs_path(lake)
    body = "select cast(null as string) as subject_ref where false"
    if DeltaTable.is_deltatable(address, storage_options=lake.storage_options):
        version = DeltaTable(address, storage_options=lake.storage_options).version()
        spark_address = address.replace("s3://", "s3a://", 1)
        body = f"select distinct subject_ref from delta.`{spark_address}` version as of {version}"
    return f"create or replace view pinned._erased as {body}"


def _column(column: Column, pin: Pin) -> str:
    if column.name in pin.columns:
        return f"`{column.name}`"
    return f"cast(null as {column.spark_type}) as `{column.name}`"


def _is_missing_folder(address: str) -> bool:
    """A look that costs nothing, where the lake is a folder: deltalake's own answer is an exception with a trace."""
    return not address.startswith("s3") and not Path(address).is_dir()
