"""A frame computed once and kept while it is worked with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@contextmanager
def held(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, computed by the first job that reads it and dropped when the block ends.

    A local checkpoint rather than `persist`: its plan is one leaf, so what is built on it is planned in no time, and
    rows are kept as they are instead of being encoded into columns. What memory does not hold goes to disk.
    """
    kept = frame.localCheckpoint(eager=False)
    try:
        yield kept
    finally:
        kept._jdf.queryExecution().logical().rdd().unpersist(False)
