"""Rows of a table as sorted arrays of hashes and places: in memory while they are few, in scratch files when not."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

Longs = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
PIECE = 2_000_000
"""Rows that are read, merged and sorted at a time."""
RESIDENT = 1_000_000
"""A longer run lies in files without a name, of which the system keeps in memory what is used."""


@dataclass(frozen=True)
class Columns:
    """Arrays of one length."""

    def __len__(self) -> int:
        return len(self.arrays()[0])

    def arrays(self) -> list[Array]:
        return [getattr(self, field.name) for field in fields(self)]

    def at(self, index: Array | slice) -> Self:
        """Those at these places, or for which a mask is true."""
        return type(self)(*(array[index] for array in self.arrays()))


@dataclass(frozen=True)
class Rows(Columns):
    """Rows of the table, sorted by key: the low halves of check and event, the file by its number, the position."""

    key: Longs
    check: npt.NDArray[np.uint32]
    seq: Longs
    event: npt.NDArray[np.uint32]
    file: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]


TYPES: tuple[type[np.signedinteger[Any] | np.unsignedinteger[Any]], ...] = (
    np.int64, np.uint32, np.int64, np.uint32, np.int32, np.int32,
)  # fmt: skip


def merged(older: Rows, newer: Rows, scratch: str | None) -> tuple[Rows, Longs]:
    """Both runs as one, of a key that is in both the newer row; and hashes that keys share, whose rows are all kept."""
    shared: Longs = np.empty(0, np.int64)
    with _Kept(len(older) + len(newer), scratch) as kept:
        for a, b in _ranges(older, newer):
            both = Rows(*(np.concatenate(pair) for pair in zip(b.arrays(), a.arrays(), strict=True)))
            both = both.at(np.argsort(both.key, kind="stable"))
            same = np.r_[False, both.key[1:] == both.key[:-1]] if len(both) else np.zeros(0, bool)
            other = same & np.r_[False, both.check[1:] != both.check[:-1]] if len(both) else same
            shared = np.union1d(shared, both.key[other])
            kept.add(both.at(~same | other))
        return kept.rows(), shared


def renumbered(run: Rows, files: int, scratch: str | None) -> tuple[Rows, Longs]:
    """The run with its files numbered anew, from 0 on without gaps, and their old numbers (below `files`) in order."""
    used = np.zeros(files, bool)
    for part in _parts(run):
        used[part.file] = True
    number = np.cumsum(used, dtype=np.int32) - 1
    with _Kept(len(run), scratch) as kept:
        for part in _parts(run):
            kept.add(replace(part, file=number[part.file]))
        return kept.rows(), np.flatnonzero(used)


class _Kept:
    """Where a run is put together: in memory, or in scratch files that go when nobody looks at them any more."""

    def __init__(self, most: int, scratch: str | None) -> None:
        self._scratch = scratch
        self._parts: list[Rows] = []
        self._files: list[IO[bytes]] = []
        self._many, self._open = most > RESIDENT, ExitStack()

    def __enter__(self) -> Self:
        for _ in TYPES if self._many else ():
            self._files.append(self._open.enter_context(tempfile.TemporaryFile(dir=self._scratch)))
        return self

    def __exit__(self, *_: object) -> None:
        # What is mapped stays readable.
        self._open.close()

    def add(self, part: Rows) -> None:
        if not self._files:
            self._parts.append(part)
        for file, array in zip(self._files, part.arrays(), strict=False):
            array.tofile(file)

    def rows(self) -> Rows:
        if not self._files:
            return Rows(*(np.concatenate(arrays) for arrays in zip(*(p.arrays() for p in self._parts), strict=True)))
        maps = []
        for file, kind in zip(self._files, TYPES, strict=True):
            file.flush()
            maps.append(np.memmap(file, kind, "r"))
        return Rows(*maps)


def _parts(run: Rows) -> Iterator[Rows]:
    for first in range(0, len(run), PIECE):
        yield run.at(slice(first, first + PIECE))


def _ranges(older: Rows, newer: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Both runs in parts that hold the same range of hashes, together about a piece."""
    parts = max(1, (len(older) + len(newer)) // PIECE)
    edges = np.array([-(2**63) + (2**64 // parts) * n for n in range(1, parts)], np.int64)
    cuts = [[0, *np.searchsorted(run.key, edges), len(run)] for run in (older, newer)]
    for n in range(parts):
        yield older.at(slice(cuts[0][n], cuts[0][n + 1])), newer.at(slice(cuts[1][n], cuts[1][n + 1]))
