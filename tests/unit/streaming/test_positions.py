"""Where raw stood, asked of a version that is not the newest any more."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from caudal.lake import LocalLake
from streaming.facts import RawCommit
from streaming.positions import raw_commit_of, raw_position
from streaming.tables import RAW


def test_where_raw_stood_at_a_version_does_not_move_with_the_head(tmp_path: Path) -> None:
    """Verify pins raw once, and the stream goes on meanwhile."""
    lake = LocalLake(str(tmp_path))
    for batch in (1, 2, 3, 4):
        said = CommitProperties(custom_metadata={"userMetadata": RawCommit(batch, {"t": {0: 10 * batch}}).text()})
        write_deltalake(lake.table(*RAW), pa.table({"x": [batch]}), mode="append", commit_properties=said)
    assert raw_position(lake, at=1).ends == {"t": {0: 20}}
    assert raw_position(lake).ends == {"t": {0: 40}}
    before = raw_commit_of(lake, 1, at=2)
    assert before is not None
    assert before.ends == {"t": {0: 10}}
    assert raw_commit_of(lake, 3, at=1) is None
