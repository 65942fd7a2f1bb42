"""What commits say of themselves, asked by a reader that looks at an older version than the newest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from caudal.commits import commit_info, history
from caudal.lake import Lake, LocalLake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A table of four commits, each of which says its own version."""
    lake = LocalLake(str(tmp_path))
    for version in range(4):
        said = CommitProperties(custom_metadata={"userMetadata": f"commit {version}"})
        write_deltalake(lake.table("raw", "events"), pa.table({"x": [1]}), mode="append", commit_properties=said)
    return lake


def test_each_commit_has_its_own_number_also_behind_the_head(lake: Lake) -> None:
    """A verify that runs beside the stream looks at a version that is the newest no more."""
    told = [(version, info["userMetadata"]) for version, info in history(lake, "raw", "events", 1)]
    assert told == [(1, "commit 1"), (0, "commit 0")]


def test_history_ends_where_the_log_was_cut(lake: Lake) -> None:
    """Versions before a checkpoint lose their commits, oldest first."""
    DeltaTable(lake.table("raw", "events")).create_checkpoint()
    for version in (0, 1):
        lake.delete(f"raw/events/_delta_log/{version:020}.json")
    assert [version for version, _ in history(lake, "raw", "events", 3)] == [3, 2]
    assert commit_info(lake, "raw", "events", 1) is None


def test_a_commit_without_words_is_a_commit(lake: Lake) -> None:
    """The protocol asks no writer for a commitInfo."""
    lake.write_atomic(f"raw/events/_delta_log/{4:020}.json", b'{"txn": {"appId": "a", "version": 1}}\n')
    assert commit_info(lake, "raw", "events", 4) == {}
