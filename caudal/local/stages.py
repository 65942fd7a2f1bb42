"""Our own stages as children: each is the one command, told where the running servers are by its environment."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from caudal.local.child import Child
from caudal.metrics import read_all


def child(stage: str, env: Mapping[str, str], run_dir: Path, *, heap_s: float = 180.0, url: str = "") -> Child:
    """`caudal run <stage>`. It is ready once it says so in its metrics; nothing waits for it.

    `heap_s`: seconds it may take to get there, a JVM on a busy machine included.
    """
    began = time.time()
    return Child(
        name=stage,
        command=(sys.executable, "-m", "caudal.cli.main", "run", stage),
        env={**quiet(), **env},
        ready=lambda: reported(run_dir, stage, began),
        ready_s=heap_s,
        stop_s=25.0,
        wait=False,
        url=url,
    )


def registry(env: Mapping[str, str], url: str) -> Child:
    """The embedded registry, which listens at `url`."""
    port = urlsplit(url).port or 8081
    return Child(
        name="registry",
        command=(sys.executable, "-m", "schemas.registry.app"),
        env={**quiet(), **env, "CAUDAL_REGISTRY__URL": url},
        ready=lambda: listening(port),
        ready_s=60.0,
        stop_s=10.0,
        ports={"registry": port},
        url=url,
    )


def quiet() -> dict[str, str]:
    """What every child of ours is told: nothing goes to anybody, output is not held back."""
    return {
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONUNBUFFERED": "1",
    }


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
