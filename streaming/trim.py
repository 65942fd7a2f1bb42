"""Which files of a Delta log nobody needs any more.

A commit a second makes 86,400 versions a day, each with several files, and whoever opens a table in a folder lists all
of them. Delta deletes by whole days and by age alone; here a log is cut at a checkpoint as soon as that is old enough.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# 00000000000000000012.json, .crc, .checkpoint.parquet, .checkpoint.0000000001.0000000002.parquet, .checkpoint.<id>.json
_OF_VERSION = re.compile(r"^(\d{20})\.(.+)$")
_CHECKPOINT = re.compile(r"^\d{20}\.checkpoint\.parquet$")


def expired(names: Sequence[str], keep_from_ms: int, made_at_ms: Callable[[int], int | None]) -> list[str]:
    """The files before the newest checkpoint that is older than `keep_from_ms` (epoch ms), oldest first.

    Every version from that checkpoint on can still be put together. `made_at_ms` tells when a commit was made; it is
    asked for a few checkpoints only. Checkpoints in parts do not count: a part may be missing.
    """
    found = sorted((int(match[1]), name) for name in names if (match := _OF_VERSION.match(name)))
    checkpoints = [version for version, name in found if _CHECKPOINT.match(name)]
    cut = _last_older(checkpoints, keep_from_ms, made_at_ms)
    return [] if cut is None else [name for version, name in found if version < cut]


def _last_older(versions: Sequence[int], than_ms: int, made_at_ms: Callable[[int], int | None]) -> int | None:
    """The newest of the ascending versions that was made before; commits come in the order of their times, nearly."""
    low, high = 0, len(versions)
    while low < high:
        middle = (low + high) // 2
        at = made_at_ms(versions[middle])
        # Its commit has gone already, so it is old.
        if at is None or at < than_ms:
            low = middle + 1
        else:
            high = middle
    return versions[low - 1] if low else None
