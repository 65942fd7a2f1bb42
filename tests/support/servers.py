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
from typing import Any, Protocol

from caudal.local import jars, kafka, s3, stages, valkey
from caudal.local.child import Child, Running
from caudal.local.ports import Ports, any_free

JARS_DIR = Path(sys.prefix) / "share" / "caudal" / "jars"

# The images of deploy/docker-compose.yml are the same ones.
KAFKA_IMAGE = "apache/kafka:4.3.1"
REGISTRY_IMAGE = "confluentinc/cp-schema-registry:8.1.0"
REDIS_IMAGE = "valkey/valkey:9.1-alpine"
S3_IMAGE = "chrislusf/seaweedfs:4.48"


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


class ContainerServers:
    """The images of the real stack, through testcontainers."""

    kind = "containers"

    def __init__(self, folder: Path) -> None:
        self._ports = Ports()
        self._started: dict[str, Any] = {}
        self._urls: dict[str, str] = {}
        self._network: Any = None

    def kafka(self) -> str:
        if "kafka" not in self._urls:
            port = any_free(self._ports)[0]
            listeners = f"PLAINTEXT://localhost:{port},INSIDE://kafka:19092"
            env = {
                "KAFKA_NODE_ID": "1",
                "KAFKA_PROCESS_ROLES": "broker,controller",
                "KAFKA_LISTENERS": f"PLAINTEXT://:{port},INSIDE://:19092,CONTROLLER://:9093",
                "KAFKA_ADVERTISED_LISTENERS": listeners,
                "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
                "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
                "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
                "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
                "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
                "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
                "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
                "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            }
            self._start("kafka", KAFKA_IMAGE, {port: port}, env, log="Kafka Server started")
            self._urls["kafka"] = f"localhost:{port}"
        return self._urls["kafka"]

    def registry(self) -> str:
        if "registry" not in self._urls:
            self.kafka()
            env = {
                "SCHEMA_REGISTRY_HOST_NAME": "registry",
                "SCHEMA_REGISTRY_LISTENERS": "http://0.0.0.0:8081",
                "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS": "PLAINTEXT://kafka:19092",
                "SCHEMA_REGISTRY_MODE_MUTABILITY": "true",
            }
            started = self._start("registry", REGISTRY_IMAGE, {8081: None}, env, log="Server started")
            self._urls["registry"] = f"http://{started.get_container_host_ip()}:{started.get_exposed_port(8081)}"
        return self._urls["registry"]

    def redis(self) -> str:
        if "redis" not in self._urls:
            started = self._start("redis", REDIS_IMAGE, {6379: None}, {}, log="Ready to accept connections")
            self._urls["redis"] = f"redis://{started.get_container_host_ip()}:{started.get_exposed_port(6379)}/0"
        return self._urls["redis"]

    def s3(self) -> S3Access:
        found = s3.Keys("caudal", "caudal-secret", "00" * 32)
        if "s3" not in self._urls:
            env = {
                "AWS_ACCESS_KEY_ID": found.access,
                "AWS_SECRET_ACCESS_KEY": found.secret,
                "WEED_S3_SSE_KEK": found.wrap,
            }
            command = "server -filer -s3 -master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=0"
            started = self._start("s3", S3_IMAGE, {8333: None}, env, command=command, log="S3 API Server")
            url = f"http://{started.get_container_host_ip()}:{started.get_exposed_port(8333)}"
            s3.make_bucket(url, found, s3.BUCKET)
            self._urls["s3"] = url
        return S3Access(self._urls["s3"], found.access, found.secret, s3.BUCKET)

    def close(self) -> None:
        for started in reversed(self._started.values()):
            started.stop()
        if self._network is not None:
            self._network.remove()
        self._ports.release()

    def _start(
        self,
        name: str,
        image: str,
        ports: dict[int, int | None],
        env: dict[str, str],
        *,
        log: str,
        command: str | None = None,
    ) -> Any:
        from testcontainers.core.container import DockerContainer
        from testcontainers.core.network import Network
        from testcontainers.core.wait_strategies import LogMessageWaitStrategy

        if self._network is None:
            self._network = Network().create()
        container = DockerContainer(image).with_network(self._network).with_network_aliases(name)
        for inside, outside in ports.items():
            container = container.with_bind_ports(inside, outside)
        for key, value in env.items():
            container = container.with_env(key, value)
        if command is not None:
            container = container.with_command(command)
        container = container.waiting_for(LogMessageWaitStrategy(log).with_startup_timeout(120))
        self._started[name] = container.start()
        return self._started[name]


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
    return ContainerServers(folder) if kind == "containers" else LocalServers(folder)


def spark_jars() -> list[Path]:
    """Delta, Kafka, Avro and S3 for the session that all Spark tests share."""
    return [*jars.jars_of(JARS_DIR, "spark"), *jars.jars_of(JARS_DIR, "s3")]
