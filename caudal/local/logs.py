"""Log files of the children: found, kept small, followed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

# One process fills this in days at the default level; four files of it are kept.
LIMIT_BYTES = 16 * 2**20
KEEP = 3


def rotate(log: Path, limit: int = LIMIT_BYTES, keep: int = KEEP) -> bool:
    """Copy a log that has grown over the limit aside and empty it; whether it did.

    The child keeps its open file, which appends, so it goes on at the start of the emptied one. A line written between
    copy and truncation is lost: the price of logs that need no reader to be alive.
    """
    try:
        if log.stat().st_size <= limit:
            return False
        for index in range(keep - 1, 0, -1):
            older = log.with_name(f"{log.name}.{index}")
            if older.exists():
                older.replace(log.with_name(f"{log.name}.{index + 1}"))
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        with log.open("r+b") as file:
            file.truncate(0)
    except OSError:
        # A full disk must not end the supervisor, which is what can still stop the others in order.
        return False
    return True


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log, without reading more of it than that takes."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            block, data = 65536, b""
            while size > 0 and data.count(b"\n") <= lines:
                step = min(block, size)
                size -= step
                file.seek(size)
                data = file.read(step) + data
    except OSError:
        return []
    return data.decode(errors="replace").splitlines()[-lines:]


def follow(log: Path, pause: Callable[[], bool]) -> Iterator[str]:
    """New lines of a log as they come. `pause` waits a moment and returns False to end."""
    position = log.stat().st_size if log.exists() else 0
    rest = ""
    while pause():
        try:
            size = log.stat().st_size
            if size < position:
                position = 0
            with log.open("rb") as file:
                file.seek(position)
                data = file.read()
        except OSError:
            continue
        position += len(data)
        *whole, rest = (rest + data.decode(errors="replace")).split("\n")
        yield from whole
