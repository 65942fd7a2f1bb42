"""Where an upsert table has each key's row: hashes of keys with the row's sequence, file and position.

Keys have no time outside of which they do not matter, so looking for those of a batch meant reading the keys of the
whole table. Here a look is a search among sorted hashes; nearly always it tells what becomes of a record and which row
it replaces. What it leaves open (two events of one sequence, one event with two sequences, a hash that two keys share)
is looked up in the files of the rows concerned and compared as Spark compares it.

A row takes 32 bytes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.contract import Contract
from schemas.tables import column_of, silver_columns
from streaming import truncates
from streaming.runs import PIECE, RESIDENT, TYPES, Array, Columns, Longs, Rows, merged, renumbered
from streaming.silver import SilverTable

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

Mask = npt.NDArray[np.bool_]
APPLIED, DUPLICATE, SUPERSEDED = "applied", "duplicate", "superseded"
# Names of files that are remembered before those of no row any more are forgotten.
_NAMES = 20_000
# Whoever knows the seed could make keys that share a hash.
_SEED = secrets.randbits(62)
_LONGS = {"TIMESTAMP": "unix_micros({})", "BIGINT": "{}"}
NOWHERE = -1


def knowable(contract: Contract) -> bool:
    """Whether a record's fate depends on nothing else than its key's row, and one number tells which is newer."""
    alone = contract.mode != "append" and not contract.ignore_null_updates and not truncates.sweeps(contract)
    return alone and len(contract.sequence) == 1 and _kind(contract) in _LONGS


def hashes(contract: Contract) -> list[Column]:
    """Of a row: `key` and `check` (its key's, by two functions), `seq`, and `event` (its event id's)."""
    from pyspark.sql import functions as F

    event_id = F.col(f"`{column_of(contract, contract.event_id)}`")
    sequence = _LONGS[_kind(contract)].format(f"`{column_of(contract, contract.sequence[0])}`")
    return [
        key_hash(contract).alias("key"),
        F.expr(f"CAST(conv(substring(md5({_spelled(contract)}), 1, 8), 16, 10) AS BIGINT)").alias("check"),
        F.expr(sequence).alias("seq"),
        F.xxhash64(F.lit(_SEED), event_id).alias("event"),
    ]


def _spelled(contract: Contract) -> str:
    """A key as one text, SQL. Texts can be made that xxhash64 does not tell apart, whatever its seed; md5 does."""
    texts = [f"CAST(`{column_of(contract, name)}` AS STRING)" for name in contract.key]
    parts = [part for text in texts for part in (f"CAST(length({text}) AS STRING)", text)]
    return f"concat_ws('|', '{_SEED}', {', '.join(parts)})"


def key_hash(contract: Contract) -> Column:
    """The hash that a row's key is known by, 64 bits."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.lit(_SEED), *[F.col(f"`{column_of(contract, name)}`") for name in contract.key])


def _hash_of(column: str) -> Column:
    from pyspark.sql import functions as F

    return F.xxhash64(F.lit(_SEED), F.col(column))


def _kind(contract: Contract) -> str:
    name = column_of(contract, contract.sequence[0])
    return next(column.spark_type for column in silver_columns(contract) if column.name == name)


@dataclass(frozen=True)
class Changes(Columns):
    """Fine records of a slice, in raw's order."""

    key: Longs
    check: Longs
    seq: Longs
    event: Longs

    @classmethod
    def of(cls, table: pa.Table) -> Changes:
        """From columns of these names."""
        return cls(*(table[field.name].to_numpy().astype(np.int64, copy=False) for field in fields(cls)))


def rows(changes: Changes, file: Array, place: Array) -> Rows:
    """Records as the rows that they became."""
    columns = (changes.key, changes.check, changes.seq, changes.event, file, place)
    # The low half of a negative number is the same as of its unsigned twin.
    low = (c & 0xFFFFFFFF if kind is np.uint32 else c for c, kind in zip(columns, TYPES, strict=True))
    found = Rows(*(column.astype(kind) for column, kind in zip(low, TYPES, strict=True)))
    return found.at(np.argsort(found.key, kind="stable"))


@dataclass(frozen=True)
class Compared:
    """Of each record: its state, the number of the file (NOWHERE: none) and the position of its key's row, and whether
    it has to be looked into. `keys` are the hashes of those; their rows lie in `files` (None: anywhere, since two keys
    have one hash)."""

    state: npt.NDArray[np.str_]
    file: Longs
    place: Longs
    open: Mask
    keys: Longs
    files: Sequence[str] | None


class Keys:
    """What is known of a table's rows as of `version`. Of one writer.

    Whoever takes rows away from the table, other than by putting newer ones of their keys in their place, begins with
    new ones.
    """

    def __init__(self, most: int, scratch: str | None = None) -> None:
        """At most `most` rows are known; long runs lie in files of the folder `scratch`."""
        self._most, self._scratch = most, scratch
        self.version = -1
        self._begin()

    def _begin(self) -> None:
        self._runs: list[Rows] = []
        self._names: list[str] = []
        self._used = 0
        self._numbers: dict[str, int] = {}
        self._shared = np.empty(0, np.int64)

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def named(self, files: Longs) -> pa.Array:
        """Names of files by their numbers; null for NOWHERE."""
        numbers, index = np.unique(files, return_inverse=True)
        names = [None if n == NOWHERE else self._names[n] for n in numbers]
        return pa.array(names, pa.string()).take(pa.array(index))

    def compare(self, changes: Changes) -> Compared:
        """What becomes of these records, by sequence and then by the order in which they are given."""
        order = np.lexsort((changes.seq, changes.key))
        mine = changes.at(order)
        new = np.r_[True, mine.key[1:] != mine.key[:-1]] if len(mine) else np.zeros(0, bool)
        starts, group = np.flatnonzero(new), np.cumsum(new) - 1
        had, found = self._find(mine.key[starts])
        there, known = had[group], found.at(group)
        again = np.r_[False, ~new[1:] & (mine.seq[1:] == mine.seq[:-1])] if len(mine) else new
        tie = there & (mine.seq == known.seq)
        other = (mine.check != mine.check[starts][group]) | (there & (_low(mine.check) != known.check))
        self._shared = np.union1d(self._shared, mine.key[other])
        doubt = np.isin(mine.key, self._shared) | _two_sequences(mine)
        # Of one sequence it is decided by the event's id; one event that has two is no plain copy.
        doubt |= tie != (there & (_low(mine.event) == known.event))
        doubt |= again & np.r_[False, mine.event[1:] != mine.event[:-1]] if len(mine) else new
        open_ = np.logical_or.reduceat(doubt, starts)[group] if len(mine) else new
        newest = mine.seq == mine.seq[np.r_[starts[1:], len(mine)] - 1][group] if len(mine) else new
        newer = ~there | (mine.seq > known.seq)
        state = np.where(again | tie, DUPLICATE, np.where(newest & newer, APPLIED, SUPERSEDED))
        back = np.empty(len(mine), np.int64)
        back[order] = np.arange(len(mine))
        file, place = (np.where(there, array, NOWHERE).astype(np.int64) for array in (known.file, known.place))
        keys = np.unique(mine.key[open_])
        files = None if np.isin(keys, self._shared).any() else [self._names[n] for n in np.unique(file[open_ & there])]
        return Compared(state[back], file[back], place[back], open_[back], keys, files)

    def add(self, changes: Changes, at: Longs, silver: SilverTable, version: int) -> None:
        """Records that the commit `version` made rows of; `at` are their partitions and offsets (`landed_at`).

        What does not fit is left to `advance`, which reads the rows.
        """
        if self.version != version - 1:
            return
        try:
            names = silver.added(version - 1) if silver.version() == version else None
            written = silver.coordinates(names or ())
        except Exception:  # noqa: BLE001 (storage may be away: the commit stands, and the next batch reads its rows)
            return
        if names is None:
            return
        place = landed_at(written["_partition"], written["_offset"])
        order = np.argsort(at)
        found = order[np.minimum(np.searchsorted(at, place, sorter=order), max(0, len(at) - 1))] if len(at) else place
        if len(place) != len(at) or not np.array_equal(at[found], place):
            return
        numbers = np.array([self._number(name) for name in names], np.int64)
        self._take(rows(changes.at(found), numbers[written["_file"].to_numpy()], written["_at"].to_numpy()))
        self.version = version

    def advance(self, session: SparkSession, silver: SilverTable, contract: Contract) -> bool:
        """Come to the table's version as of the last look at it; false when it has too many rows to be known.

        Nothing is read when nothing else than `add` has changed the table; after table care, the files it wrote.
        """
        if self.version == silver.at and len(self) <= self._most:
            return True
        names = silver.added(self.version) if self.version >= 0 and len(self) <= self._most else None
        if names is None:
            self._begin()
            self.version = -1
            if silver.count(None) > self._most:
                return False
        for piece in self._read(session, silver, contract, names):
            self._take(piece)
        self.version = silver.at
        return True

    def _read(
        self, session: SparkSession, silver: SilverTable, contract: Contract, names: Sequence[str] | None
    ) -> Iterator[Rows]:
        kinds = {column.name: column.spark_type for column in silver_columns(contract)}
        told = (*contract.key, contract.event_id, *contract.sequence)
        wanted = [(name, kinds[name]) for name in dict.fromkeys(column_of(contract, one) for one in told)]
        for files, piece in silver.pieces(session, wanted, None, PIECE, names):
            numbers = self._hashed(session, files)
            # Names of files, one for each row, would be most of what reaches the driver.
            found = piece.select(*hashes(contract), _hash_of("_file").alias("file"), "_at").toArrow()
            which = np.searchsorted(numbers["hash"], found["file"].to_numpy())
            yield rows(Changes.of(found), numbers["number"][which], found["_at"].to_numpy())

    def _hashed(self, session: SparkSession, files: Sequence[str]) -> npt.NDArray[np.void]:
        """Hashes (`hash`, sorted) and numbers (`number`) of files."""
        named = session.createDataFrame(pa.table({"_file": files})).select("_file", _hash_of("_file").alias("hash"))
        pairs = [(row["hash"], self._number(row["_file"])) for row in named.toArrow().to_pylist()]
        return np.array(sorted(pairs), [("hash", np.int64), ("number", np.int64)])

    def prepare(self, session: SparkSession, silver: SilverTable, contract: Contract) -> None:
        """Read a large table before the first batch has to wait for it; a small one is read by the batch itself."""
        if silver.count(None) > RESIDENT:
            self.advance(session, silver, contract)

    def _number(self, name: str) -> int:
        if name not in self._numbers:
            self._numbers[name] = len(self._names)
            self._names.append(name)
        return self._numbers[name]

    def _find(self, keys: Longs) -> tuple[Mask, Rows]:
        """Of each of these sorted hashes, whether a row is known, and the newest one."""
        had = np.zeros(len(keys), bool)
        found = Rows(*(np.full(len(keys), NOWHERE if kind is np.int32 else 0, kind) for kind in TYPES))
        for run in reversed(self._runs):
            todo = np.flatnonzero(~had)
            at = np.minimum(np.searchsorted(run.key, keys[todo]), len(run) - 1)
            hit = run.key[at] == keys[todo]
            for into, array in zip(found.arrays(), run.arrays(), strict=True):
                into[todo[hit]] = array[at[hit]]
            had[todo[hit]] = True
        return had, found

    def _take(self, new: Rows) -> None:
        if not len(new):
            return
        self._runs.append(new)
        all_ = len(self._names) > _NAMES + 2 * self._used
        while len(self._runs) > 1 and (all_ or len(self._runs[-2]) <= 2 * len(self._runs[-1])):
            older, newer = self._runs[-2:]
            one, shared = merged(older, newer, self._scratch)
            self._runs[-2:] = [one]
            self._shared = np.union1d(self._shared, shared)
        if all_:
            self._rename()

    def _rename(self) -> None:
        """Forget the names of files in which no row is any more."""
        [run] = self._runs
        one, used = renumbered(run, len(self._names), self._scratch)
        self._runs, self._names, self._used = [one], [self._names[n] for n in used], len(used)
        self._numbers = {name: n for n, name in enumerate(self._names)}


def landed_at(partition: pa.ChunkedArray, offset: pa.ChunkedArray) -> Longs:
    """Partition and offset of each row as one number."""
    places: Longs = (partition.to_numpy().astype(np.int64) << 44) | offset.to_numpy()
    return places


def _low(values: Longs) -> npt.NDArray[np.uint32]:
    return (values & 0xFFFFFFFF).astype(np.uint32)


def _two_sequences(mine: Changes) -> Mask:
    """Records whose event comes with another sequence too."""
    order = np.lexsort((mine.seq, mine.event, mine.key))
    key, event, seq = mine.key[order], mine.event[order], mine.seq[order]
    differs = (key[1:] == key[:-1]) & (event[1:] == event[:-1]) & (seq[1:] != seq[:-1])
    found = np.zeros(len(mine), bool)
    found[order[1:][differs]] = True
    return found
