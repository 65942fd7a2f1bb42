"""A real Kafka broker from its jars: KRaft, broker and controller in one process, replication 1."""

from __future__ import annotations

import base64
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from caudal.local import jars
from caudal.local.child import Child
from caudal.local.errors import StartError
from caudal.local.java import find

# One broker for one machine: small internal topics, no automatic topics, no waiting for group members to gather.
PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # `caudal contract apply` is the only creator of topics.
    "auto.create.topics.enable": "false",
    "num.partitions": "2",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # The compactor's default buffer (128 MB) would be a third of the heap.
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "8388608",
    # Index files are mapped whole: 1 MB covers a segment here, the default is ten.
    "log.index.size.max.bytes": "1048576",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "queued.max.requests": "64",
}

LOGGING = """\
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
logger.server.name = kafka.server
logger.server.level = INFO
logger.start.name = org.apache.kafka.common.utils.AppInfoParser
logger.start.level = ERROR
logger.config.name = kafka.server.KafkaConfig
logger.config.level = WARN
"""


def child(
    data: Path, port: int, controller_port: int, jars_dir: Path | None = None, heap: str = "384m", name: str = "kafka"
) -> Child:
    """The broker of one install. `data` holds its log, configuration and cluster id, and survives restarts."""
    data = data.resolve()
    java = str(find().executable)
    classes = f"{jars.jars_of(jars_dir or jars.default_dir(), 'kafka')[0].parent}/*"
    options = [
        f"-Xmx{heap}",
        # The smallest footprint on small heaps of one or two cores.
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.net.preferIPv4Stack=true",
        f"-Dlog4j2.configurationFile={data / 'log4j2.properties'}",
    ]

    def prepare() -> None:
        _configure(data, port, controller_port)
        if not (data / "log" / "meta.properties").exists():
            _format(java, classes, data)

    return Child(
        name=name,
        command=(java, *options, "-cp", classes, "kafka.Kafka", str(data / "server.properties")),
        prepare=prepare,
        ready=lambda: ready(f"127.0.0.1:{port}"),
        ready_s=90.0,
        stop_s=20.0,
        cwd=data,
        ports={"kafka": port, "kafka controller": controller_port},
        url=f"127.0.0.1:{port}",
        gives={"kafka.bootstrap": f"127.0.0.1:{port}"},
    )


def ready(bootstrap: str) -> str | None:
    """None once the broker answers a metadata request, else what is missing."""
    host, _, port = bootstrap.rpartition(":")
    try:
        # A refused connection is known at once; the admin client would wait and log.
        socket.create_connection((host, int(port)), timeout=1.0).close()
    except OSError:
        return f"a listener on {bootstrap}"
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=3.0)
    except KafkaException:
        return "an answer to a metadata request"
    return None


def _configure(data: Path, port: int, controller_port: int) -> None:
    data.mkdir(parents=True, exist_ok=True)
    properties = {
        **PROPERTIES,
        "log.dirs": str(data / "log"),
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        # A static voter list: unlike a dynamic one it lets ports change between two starts.
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
    }
    text = "".join(f"{key}={value}\n" for key, value in properties.items())
    (data / "server.properties").write_text(text, encoding="utf-8")
    (data / "log4j2.properties").write_text(LOGGING, encoding="utf-8")


def _format(java: str, classes: str, data: Path) -> None:
    identity = data / "cluster.id"
    if not identity.exists():
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # The tool takes a leading dash for an option.
        identity.write_text("A" + text[1:], encoding="utf-8")
    command = [java, "-Xmx128m", f"-Dlog4j2.configurationFile={data / 'log4j2.properties'}", "-cp", classes]
    command += ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", identity.read_text(encoding="utf-8")]
    done = subprocess.run(
        [*command, "-c", str(data / "server.properties")], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise StartError(
            what="the broker's storage could not be formatted",
            where=str(data),
            why=(done.stdout + done.stderr)[-800:],
            fix="run `caudal doctor`",
        )
