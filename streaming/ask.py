"""The other end of the command log: give streaming a command and wait for its answer.

With no streaming process at work the command is carried out here, by the same code under the same lease.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from caudal import lease
from caudal.errors import CaudalError
from caudal.settings import Settings
from schemas import topics
from streaming.commands import COMMANDS, RESULTS
from streaming.errors import NoAnswer
from streaming.settings import StreamingSettings


def ask(settings: Settings, verb: str, arguments: Mapping[str, Any], wait_s: float) -> dict[str, Any]:
    """The result of a command.

    Raises the error that carrying it out raised; Unreachable without a broker; NoAnswer when the streaming process says
    nothing for `wait_s` seconds (the command stands, and is carried out when its turn comes).
    """
    own = settings.section("streaming", StreamingSettings)
    identity = str(uuid.uuid4())
    if lease.holder(settings.run_dir / "leases" / f"streaming-{own.query}.lock") is None:
        from streaming.app import once

        return _result(once(settings, identity, verb, arguments))
    return _result(_told(settings, {"id": identity, "verb": verb, "arguments": dict(arguments)}, wait_s))


def _result(answered: Mapping[str, Any]) -> dict[str, Any]:
    if answered["ok"]:
        found: dict[str, Any] = answered["result"]
        return found
    said = {name: str(value) for name, value in answered["error"].items() if name != "retryable"}
    error = CaudalError(**said)
    error.exit_code = int(answered["exit_code"])
    raise error


def _told(settings: Settings, command: Mapping[str, Any], wait_s: float) -> dict[str, Any]:
    from confluent_kafka import Consumer, Producer, TopicPartition

    for name in (COMMANDS, RESULTS):
        topics.ensure(settings, name, 1, {"retention.ms": str(7 * 24 * 3_600_000)})
    conf = topics.client_conf(settings)
    consumer = Consumer({**conf, "group.id": "caudal.ask", "enable.auto.commit": False})
    producer = Producer({**conf, "acks": "all", "enable.idempotence": True})
    try:
        # Where answers end now: this one comes behind it.
        _, end = consumer.get_watermark_offsets(TopicPartition(RESULTS, 0), timeout=10)
        consumer.assign([TopicPartition(RESULTS, 0, end)])
        producer.produce(COMMANDS, key=str(command["id"]).encode(), value=json.dumps(command).encode())
        producer.flush(10)
        until = time.monotonic() + wait_s
        while time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is None or message.error() is not None:
                continue
            found: dict[str, Any] = json.loads(message.value() or b"{}")
            if found.get("id") == command["id"]:
                return found
    finally:
        consumer.close()
    raise NoAnswer(
        f"streaming has not answered `{command['verb']}` in {wait_s:g} s",
        where=f"{COMMANDS}, command {command['id']}",
        why="it is busy or not well; the command stands and is carried out when its turn comes",
        fix="look: caudal status",
    )
