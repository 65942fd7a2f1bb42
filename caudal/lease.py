"""One owner per (query, table): a lock on a file that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from caudal.errors import CaudalError


class LeaseHeld(CaudalError):
    """Another live process owns this."""

    code = "CDL-LEASE"
    exit_code = 6
    retryable = True


@dataclass(frozen=True)
class Holder:
    """Who holds a lease. `since` is epoch seconds."""

    pid: int
    name: str
    since: float


class Lease:
    """Ownership of one thing on this machine. On Kubernetes a StatefulSet of one takes its place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[str] | None = None

    def acquire(self, name: str) -> Lease:
        """Take the lease or raise LeaseHeld at once; the caller decides whether to wait."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            other = holder(self.path)
            raise LeaseHeld(
                "another process owns this",
                where=str(self.path),
                why=f"process {other.pid} ({other.name}) holds it" if other else "its holder is starting",
                fix="wait for it, or stop it with `caudal down`",
            ) from None
        file.seek(0)
        file.truncate()
        file.write(json.dumps({"pid": os.getpid(), "name": name, "since": time.time()}))
        file.flush()
        self._file = file
        return self

    def release(self) -> None:
        """Give the lease back; safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()


def holder(path: Path) -> Holder | None:
    """The live holder of the lease, or None when nobody holds it."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return Holder(**json.loads(file.read()))
            return None
    except (OSError, ValueError, TypeError):
        return None
