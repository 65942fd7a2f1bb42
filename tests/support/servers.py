"""The one seam through which tests get servers: local ones, or containers where Docker answers.

Each starts when the first test asks for it and lives until the session ends. CAUDAL_TEST_SERVERS=local|containers
decides when somebody wants to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from caudal.local import jars, kafka, s3, stages, valkey
from caudal.local.child import Child, Running
from caudal.local.ports import Ports, any_free

JARS_DIR = Path(sys.prefix) / "share" / "caudal" / "jars"


@dataclass(frozen=True)
class S3Access:
    """How to reach the S3 server and the bucket that is there."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = s3.REGION


class Servers(Protocol):
    """Servers that start at first use."""

    kind: str

    def kafka(self) -> str: ...

    def registry(self) -> str: ...

    def redis(self) -> str: ...

    def s3(self) -> S3Access: ...

    def close(self) -> None: ...


class LocalServers:
    """The very servers that `caudal up` starts, on free ports."""

    kind = "local"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = Ports()
        self._running: dict[str, Running] = {}

    def kafka(self) -> str:
        return self._url(
            "kafka", lambda: kafka.child(self._folder / "kafka", *any_free(self._ports, 2), jars_dir=JARS_DIR)
        )

    def registry(self) -> str:
        def make() -> Child:
            url = f"http://127.0.0.1:{any_free(self._ports)[0]}"
            return stages.registry(url, {"CAUDAL_DATA_DIR": str(self._folder)})

        return self._url("registry", make)

    def redis(self) -> str:
        return self._url("valkey", lambda: valkey.child(self._folder / "valkey", any_free(self._ports)[0]))

    def s3(self) -> S3Access:
        data = self._folder / "s3"
        url = self._url("s3", lambda: s3.child(data, any_free(self._ports, s3.PORTS)))
        found = s3.keys(data)
        return S3Access(url, found.access, found.secret, s3.BUCKET)

    def close(self) -> None:
        for running in reversed(self._running.values()):
            # What lies in the folder is thrown away: no need for a graceful end.
            running.stop(hurry=lambda: True)
        self._running.clear()
        self._ports.release()

    def _url(self, name: str, make: Callable[[], Child]) -> str:
        if name not in self._running:
            child = make()
            running = Running(child, self._folder / "logs" / f"{name}.log")
            try:
                running.wait_ready()
                child.after()
            except BaseException:
                running.stop(hurry=lambda: True)
                raise
            self._running[name] = running
        return self._running[name].child.url


def choose() -> tuple[str, str]:
    """Which kind of servers this session uses, and why."""
    asked = os.environ.get("CAUDAL_TEST_SERVERS", "")
    if asked in ("local", "containers"):
        return asked, "CAUDAL_TEST_SERVERS says so"
    return ("containers", "Docker answers") if docker_answers() else ("local", "no Docker daemon answers")


def docker_answers() -> bool:
    """Whether a Docker daemon can be reached; asked without the network when there is no socket."""
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return False
    import docker

    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except docker.errors.DockerException:
        return False
    return True


def open_servers(kind: str, folder: Path) -> Servers:
    """Servers of the chosen kind; nothing starts yet."""
    if kind == "containers":
        # Needs Docker's client, which the local road should not have to load.
        from tests.support.containers import ContainerServers

        return ContainerServers()
    return LocalServers(folder)


def s3_jars() -> list[Path]:
    """What the session that all Spark tests share needs besides, to reach the bucket."""
    return jars.jars_of(JARS_DIR, "s3")
