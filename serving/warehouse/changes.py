"""Which rows differ between two versions of a mart, found by the data files that differ.

A version is a set of files, some with rows taken out (deletion vectors). A file that both versions have in the same
state cannot differ and is not read. Rows that were only written again, into another file, are the same line on both
sides and cancel out. Commits that say of themselves that they only lay files out anew (OPTIMIZE) are stepped over,
so that compacting a mart of ten million rows does not mean reading it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caudal.commits import actions
from caudal.errors import TransientError
from caudal.lake import Lake
from serving.warehouse.lines import lines

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyarrow.fs import FileSystem

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class File:
    """Rows of one data file: those that `keep` marks, or all for None. `size` in bytes is that of the whole file.

    A vector may end before its file does; `rest` says whether the rows behind it belong to these.
    """

    path: str
    size: int
    keep: pa.BooleanArray | None = None
    rest: bool = True


@dataclass(frozen=True)
class Version:
    """One version of a Delta table: its files by path."""

    table: DeltaTable
    files: Mapping[str, File]
    storage: FileSystem

    def read(self, files: Iterable[File], columns: Iterable[str]) -> Iterator[pa.RecordBatch]:
        """These files' rows in batches; a column that an older file lacks is null. Raises TransientError."""
        import pyarrow as pa

        schema = pa.schema(self.table.schema())
        wanted = [schema.field(name) for name in columns]
        for file in files:
            yield from self._read(file, wanted)

    def _read(self, file: File, wanted: list[pa.Field]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        start = 0
        try:
            # Spark writes times as INT96 by default, which would become nanoseconds and so end in the year 2262
            opened = pq.ParquetFile(self.storage.open_input_file(file.path), coerce_int96_timestamp_unit="us")
            here = set(opened.schema_arrow.names)
            for batch in opened.iter_batches(BATCH_ROWS, columns=[f.name for f in wanted if f.name in here]):
                arrays = [
                    batch.column(f.name).cast(f.type) if f.name in here else pa.nulls(batch.num_rows, f.type)
                    for f in wanted
                ]
                whole = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(wanted))
                yield whole if file.keep is None else whole.filter(_part(file.keep, start, batch.num_rows, file.rest))
                start += batch.num_rows
        except OSError as error:
            raise _gone(error) from error


@dataclass(frozen=True)
class Difference:
    """What turns one version into the other: keys whose rows go, as lines, then rows that come, as lines.

    `null_keys` are the key columns in which a going key has a null.
    """

    gone: pa.Array
    came: pa.Array
    null_keys: frozenset[str]


def opened(lake: Lake, path: str, version: int) -> Version:
    """The table at that version. Raises TransientError when it cannot be opened, also because the log is gone."""
    import pyarrow as pa
    from deltalake import DeltaTable

    try:
        table = DeltaTable(path, version=version, storage_options=lake.storage_options or None)
        added = pa.table(table.get_add_actions())
        vectors = pa.RecordBatchReader.from_stream(table.deletion_vectors()).read_all()
    except Exception as error:
        raise _gone(error) from error
    # names of data files are unique, so the last part of a vector's full address is enough
    keeps = {
        address.rpartition("/")[2]: vectors["selection_vector"][row].values
        for row, address in enumerate(vectors["filepath"].to_pylist())
    }
    files = {
        name: File(name, size, keeps.get(name.rpartition("/")[2]))
        for name, size in zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), strict=True)
    }
    return Version(table, files, lake.files(table))


def runs(old: int, new: int, layouts: Collection[int]) -> list[tuple[int, int]]:
    """The stretches of the log between two versions in which rows may have changed, in order, as (from, to).

    `layouts` are the versions whose commits only laid files out anew.
    """
    found: list[tuple[int, int]] = []
    for version in range(old + 1, new + 1):
        if version in layouts:
            continue
        if found and found[-1][1] == version - 1:
            found[-1] = (found[-1][0], version)
        else:
            found.append((version - 1, version))
    return found


def layouts(storage: FileSystem, old: int, new: int) -> frozenset[int]:
    """Of the versions after `old` up to `new` those whose commits changed no row. A commit that is gone may have."""
    found = set()
    for version in range(old + 1, new + 1):
        try:
            with storage.open_input_stream(f"_delta_log/{version:020d}.json") as file:
                if is_layout(file.read()):
                    found.add(version)
        except OSError:
            continue
    return frozenset(found)


def is_layout(commit: bytes) -> bool:
    """Whether a commit says of every file it adds or removes that its rows stay the same (Delta's `dataChange`)."""
    files = [action.get("add") or action.get("remove") for action in actions(commit)]
    return all(not file["dataChange"] for file in files if file)


def differing(old: Version, new: Version) -> tuple[list[File], list[File]]:
    """Files, or parts of them, whose rows are in the old version only, and in the new one only."""
    gone: list[File] = []
    came: list[File] = []
    for path, file in old.files.items():
        other = new.files.get(path)
        if other is None:
            gone.append(file)
        elif not _same(file.keep, other.keep):
            gone.append(File(path, file.size, _but(file.keep, other.keep), rest=False))
            came.append(File(path, file.size, _but(other.keep, file.keep), rest=False))
    came += [file for path, file in new.files.items() if path not in old.files]
    return gone, came


def difference(gone: Iterable[pa.RecordBatch], came: Iterable[pa.RecordBatch], key: Iterable[str]) -> Difference:
    """What is left of both sides when the rows that both have are taken out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = list(key)
    going, keys, null_keys = [], [], set()
    for batch in gone:
        going.append(lines(batch))
        keys.append(lines(batch.select(names)))
        null_keys |= {name for name in names if batch.column(name).null_count}
    before, after, keyed = (
        pa.chunked_array(part, pa.large_string()).combine_chunks() for part in (going, map(lines, came), keys)
    )
    return Difference(
        keyed.filter(pc.invert(pc.is_in(before, after))),
        after.filter(pc.invert(pc.is_in(after, before))),
        frozenset(null_keys),
    )


def _part(keep: pa.BooleanArray, start: int, rows: int, rest: bool = True) -> pa.BooleanArray:
    """So many rows of a vector from a place on; `rest` for those behind its end."""
    import pyarrow as pa

    part = keep.slice(start, rows)
    return part if len(part) == rows else pa.concat_arrays([part, pa.repeat(rest, rows - len(part))])


def _same(one: pa.BooleanArray | None, other: pa.BooleanArray | None) -> bool:
    if one is None or other is None:
        return one is other
    return bool(one.equals(other))


def _but(keep: pa.BooleanArray | None, other: pa.BooleanArray | None) -> pa.BooleanArray:
    """What `keep` marks and `other` does not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    length = max(len(part) for part in (keep, other) if part is not None)
    mine, theirs = (pa.repeat(True, length) if part is None else _part(part, 0, length) for part in (keep, other))
    # behind the end of both vectors both keep every row
    return pc.and_not(mine, theirs)


def _gone(error: Exception) -> TransientError:
    return TransientError(
        "a version of a mart cannot be read",
        why=type(error).__name__,
        fix="see the runbook under CDL-GOLD-OPEN",
        code="CDL-GOLD-OPEN",
    )
