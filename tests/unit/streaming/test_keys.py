"""What is known of an upsert table's keys: never a wrong word, and a look where the hashes leave something open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming import keys, runs
from streaming.keys import NOWHERE, Changes, Keys, landed_at

Record = tuple[int, int, int, int]
"""Key hash, the key's second hash, sequence, event. A key is both of its hashes."""
RECORD = st.tuples(st.integers(-3, 3), st.integers(0, 9).map(lambda n: n // 9), st.integers(0, 3), st.integers(1, 4))


@dataclass
class Table:
    """A silver table: its commits' rows, each (record, place), one file a commit."""

    rows: dict[tuple[int, int], tuple[Record, str, int]]
    commits: list[list[tuple[int, int]]]

    @property
    def at(self) -> int:
        return len(self.commits) - 1

    def version(self) -> int:
        return self.at

    def added(self, since: int) -> list[str]:
        return [f"file-{n}" for n in range(since + 1, self.at + 1) if self.commits[n]]

    def coordinates(self, names: list[str]) -> pa.Table:
        files = [(n, self.commits[_number(name)]) for n, name in enumerate(names)]
        found = [(n, at, *place) for n, rows in files for at, place in enumerate(rows)]
        file, at, partition, offset = zip(*found, strict=True) if found else ((), (), (), ())
        columns = {"_partition": partition, "_offset": offset, "_file": file, "_at": at}
        return pa.table({name: pa.array(column, pa.int64()) for name, column in columns.items()})


def _number(name: str) -> int:
    return int(name.removeprefix("file-"))


def changes(found: list[Record]) -> Changes:
    columns = zip(*found, strict=True) if found else ((),) * 4
    return Changes(*(np.array(column, np.int64) for column in columns))


def judged(records: list[Record], table: Table) -> list[str]:
    """Step 8 in plain words: by sequence, then event; of equal ones the first."""
    states = []
    for n, (key, check, seq, event) in enumerate(records):
        same = [(r[2], r[3], -m) for m, r in enumerate(records) if r[:2] == (key, check)]
        prior = table.rows.get((key, check))
        was = (prior[0][2], prior[0][3]) if prior else None
        newer = was is None or (seq, event) > was
        preferred = max(one for one in same if one[1] == event)
        if preferred != (seq, event, -n) or (was is not None and was[1] == event and not newer):
            states.append("duplicate")
        else:
            states.append("applied" if max(same) == (seq, event, -n) and newer else "superseded")
    return states


@settings(max_examples=500, deadline=None)
@given(st.lists(st.lists(RECORD, max_size=8), max_size=6))
def test_each_record_is_told_as_the_model_tells_it_or_is_looked_into(batches: list[list[Record]]) -> None:
    """Two keys of one hash, two events of one sequence, one event of two sequences are among them."""
    table, known = Table({}, [[]]), Keys(1000)
    known.version = 0
    for batch in batches:
        told = known.compare(changes(batch))
        wanted = judged(batch, table)
        for n, record in enumerate(batch):
            prior = table.rows.get(record[:2])
            if told.open[n]:
                assert record[0] in told.keys
                assert told.files is None or prior is None or prior[1] in told.files
                continue
            assert told.state[n] == wanted[n]
            [name] = known.named(told.file[n : n + 1]).to_pylist()
            assert (name, int(told.place[n])) == (prior[1:] if prior else (None, NOWHERE))
        applied = [n for n, state in enumerate(wanted) if state == "applied"]
        # Files hold rows in an order of their own.
        written = sorted(applied, key=lambda n: hash((n, len(batch))))
        table.commits.append([(0, 100 * len(table.commits) + n) for n in written])
        for at, n in enumerate(written):
            table.rows[batch[n][:2]] = (batch[n], f"file-{table.at}", at)
        places = landed_at(*(pa.chunked_array([pa.array(c, pa.int64())]) for c in _columns(applied, table.at)))
        known.add(changes([batch[n] for n in applied]), places, table, table.at)  # type: ignore[arg-type]
        assert known.version == table.at


def _columns(applied: list[int], version: int) -> tuple[list[int], list[int]]:
    return [0] * len(applied), [100 * version + n for n in applied]


def test_plain_changes_need_no_look() -> None:
    """New keys, newer records, older ones and copies are told at once."""
    known = Keys(1000)
    known.version = 0
    table = Table({}, [[], [(0, 1)]])
    known.add(changes([(1, 1, 5, 10)]), np.array([1]), table, 1)  # type: ignore[arg-type]
    told = known.compare(changes([(1, 1, 6, 11), (1, 1, 5, 10), (1, 1, 4, 9), (2, 2, 1, 12), (2, 2, 1, 12)]))
    assert told.state.tolist() == ["applied", "duplicate", "superseded", "applied", "duplicate"]
    assert not told.open.any()


def test_rows_that_do_not_fit_what_was_written_are_left_to_be_read() -> None:
    """A commit whose rows are not those expected is not believed."""
    known = Keys(1000)
    known.version = 0
    known.add(changes([(1, 1, 5, 10)]), np.array([2]), Table({}, [[], [(0, 1)]]), 1)  # type: ignore[arg-type]
    assert (known.version, len(known)) == (0, 0)


def test_long_runs_in_files_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merged in ranges of hashes and kept outside of memory, with names of dead files forgotten on the way."""
    monkeypatch.setattr(runs, "PIECE", 50)
    monkeypatch.setattr(runs, "RESIDENT", 100)
    monkeypatch.setattr(keys, "_NAMES", 8)
    random = np.random.default_rng(3)
    known, table = Keys(10**6), Table({}, [[]])
    rows: dict[int, tuple[int, int]] = {}
    known.version = 0
    for version in range(1, 40):
        hashes = np.unique(random.integers(-(2**63), 2**63 - 1, 60))
        some = np.array(list(rows)[:: max(1, len(rows) // 20)], np.int64)
        hashes = np.union1d(hashes, some)
        batch = [(int(key), int(key) % 1000, version, version) for key in hashes]
        table.commits.append([(0, n) for n in range(len(batch))])
        known.add(changes(batch), np.arange(len(batch)), table, version)  # type: ignore[arg-type]
        rows |= {key: (version, n) for n, (key, *_) in enumerate(batch)}
    told = known.compare(changes([(key, key % 1000, 99, 99) for key in rows]))
    assert len(known) < sum(len(commit) for commit in table.commits)
    assert not told.open.any()
    names = known.named(told.file).to_pylist()
    assert list(zip(names, told.place.tolist(), strict=True)) == [(f"file-{v}", at) for v, at in rows.values()]
