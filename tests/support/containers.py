"""The servers of the tests as containers, with the images of the real stack."""

from __future__ import annotations

from typing import Any

from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

from caudal.local import s3
from caudal.local.ports import Ports, any_free
from tests.support.servers import S3Access

# The same ones as in docker-compose.yml, so that these tests speak for the real stack.
KAFKA_IMAGE = "apache/kafka:4.3.1"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.1"
REDIS_IMAGE = "valkey/valkey:9.1-alpine"
S3_IMAGE = "chrislusf/seaweedfs:4.48"


class ContainerServers:
    """The images of the real stack, through testcontainers."""

    kind = "containers"

    def __init__(self) -> None:
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
            self._start("kafka", KAFKA_IMAGE, {port: port}, env, LogMessageWaitStrategy("Kafka Server started"))
            self._urls["kafka"] = f"localhost:{port}"
        return self._urls["kafka"]

    def registry(self) -> str:
        if "registry" not in self._urls:
            self.kafka()
            path = "/apis/ccompat/v7"
            env = {
                "APICURIO_STORAGE_KIND": "kafkasql",
                "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS": "kafka:19092",
            }
            ready = HttpWaitStrategy(8080, f"{path}/subjects").for_status_code(200)
            started = self._start("registry", REGISTRY_IMAGE, {8080: None}, env, ready)
            self._urls["registry"] = f"http://{started.get_container_host_ip()}:{started.get_exposed_port(8080)}{path}"
        return self._urls["registry"]

    def redis(self) -> str:
        if "redis" not in self._urls:
            ready = LogMessageWaitStrategy("Ready to accept connections")
            started = self._start("redis", REDIS_IMAGE, {6379: None}, {}, ready)
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
            ready = HttpWaitStrategy(8333, "/status").for_status_code(200)
            started = self._start("s3", S3_IMAGE, {8333: None}, env, ready, command=command)
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
        ready: Any,
        *,
        command: str | None = None,
    ) -> Any:
        if self._network is None:
            self._network = Network().create()
        container = DockerContainer(image).with_network(self._network).with_network_aliases(name)
        for inside, outside in ports.items():
            container = container.with_bind_ports(inside, outside)
        for key, value in env.items():
            container = container.with_env(key, value)
        if command is not None:
            container = container.with_command(command)
        container = container.waiting_for(ready.with_startup_timeout(120))
        self._started[name] = container.start()
        return self._started[name]
