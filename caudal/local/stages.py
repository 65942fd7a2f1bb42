"""Our own stages as children: each is the one command, told by its environment where the servers are."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from caudal.local.child import Child
from caudal.metrics import read_all

# What every process of ours is told: nothing goes to anybody, output is not held back.
QUIET: Mapping[str, str] = {
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PYTHONUNBUFFERED": "1",
}


def child(
    stage: str,
    run_dir: Path,
    *,
    env: Mapping[str, str] | None = None,
    ready_s: float = 180.0,
    restart: bool = True,
    url: str = "",
    ports: Mapping[str, int] | None = None,
    gives: Mapping[str, object] | None = None,
) -> Child:
    """`caudal run <stage>`. It is ready once it says so in its metrics; nothing waits for it.

    `ready_s`: seconds it may take to get there, a JVM on a busy machine included.
    """
    began = [time.time()]

    def prepare() -> None:
        # What an earlier run of the same stage said of itself does not count.
        began[0] = time.time()

    return Child(
        name=stage,
        command=(sys.executable, "-m", "caudal.cli.main", "run", stage),
        env={**QUIET, **(env or {})},
        prepare=prepare,
        ready=lambda: reported(run_dir, stage, began[0]),
        ready_s=ready_s,
        stop_s=25.0,
        wait=False,
        restart=restart,
        url=url,
        ports=ports or {},
        gives=gives or {},
    )


def registry(url: str, env: Mapping[str, str] | None = None) -> Child:
    """The embedded registry, which listens at `url`."""
    port = urlsplit(url).port or 8081
    return Child(
        name="registry",
        command=(sys.executable, "-m", "schemas.registry.app"),
        env={**QUIET, **(env or {}), "CAUDAL_REGISTRY__URL": url},
        ready=lambda: listening(port),
        ready_s=60.0,
        stop_s=10.0,
        ports={"registry": port},
        url=url,
        gives={"registry.url": url},
    )


def reported(run_dir: Path, stage: str, since: float) -> str | None:
    """None once this stage's snapshot, written after `since`, says ready."""
    for snapshot in read_all(run_dir / "metrics"):
        if snapshot.process == stage and snapshot.at >= since and snapshot.ready:
            return None
    return "its own word that it is ready"


def listening(port: int) -> str | None:
    """None once something accepts connections on this port of loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return f"a listener on port {port}"
    return None
