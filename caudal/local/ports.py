"""Finds free ports, and keeps two installs that start at the same moment from taking the same one."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from caudal.local.errors import StartError

# Beyond this many busy neighbours the machine has another problem than ports.
_TRIES = 200


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now (a socket that only lingers after its server does not count)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


class Ports:
    """Ports of one supervisor. Each is claimed by a lock file until `release` or the end of this process."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"caudal-ports-{os.getuid()}"
        self._claims: dict[int, IO[str]] = {}

    def take(self, wanted: int, host: str = "127.0.0.1") -> int:
        """The wanted port if it is free, else the next free one.

        Raises:
            StartError: two hundred neighbours are busy.
        """
        for port in _candidates(wanted):
            if self._claim(port):
                if is_free(port, host):
                    return port
                self._claims.pop(port).close()
        raise StartError(
            what=f"no free port from {wanted} on", where=host, why="all are busy", fix="free one or name another"
        )

    def release(self, ports: Iterable[int] | None = None) -> None:
        """Give these claims back, or all."""
        for port in list(self._claims) if ports is None else ports:
            if port in self._claims:
                self._claims.pop(port).close()

    def _claim(self, port: int) -> bool:
        if port in self._claims:
            return False
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (self._folder / str(port)).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._claims[port] = file
        return True


# Claims are file locks, and these belong to the process.
CLAIMS = Ports()


def any_free(ports: Ports, count: int = 1) -> list[int]:
    """Claimed ports that nobody asked for by number: for tests and for a server's inner ports."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            start = probe.getsockname()[1]
        found.append(ports.take(start))
    return found


def _candidates(wanted: int) -> Iterator[int]:
    for step in range(_TRIES):
        yield wanted + step if wanted + step < 65536 else 1024 + step
