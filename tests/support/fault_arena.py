"""Where streaming is killed: a broker and a registry of its own, one streaming process after the other, one producer.

Nothing here decides what is right: `fault_model` does. The process is the one that the supervisor starts.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from caudal.lake import Lake
from caudal.local import kafka, stages
from caudal.local.child import Child, Running, signal_group
from caudal.local.ports import Ports, any_free
from caudal.proof import Check
from caudal.query import Query
from caudal.settings import Settings
from schemas import apply, topics
from schemas.contract import Catalog
from schemas.distribution import ContractFeed, Released
from streaming.commands import COMMANDS, RESULTS
from streaming.verify import checks
from tests.support.fault_model import Model, Place
from tests.support.fault_play import ALL, Play, Sent, made
from tests.support.servers import JARS_DIR
from tests.support.stream_process import environment_of

# Far above what it takes, for machines that are busy with other things.
PATIENCE_S = 600.0
# Everything that waits, waits less.
QUICK = {
    "TRIGGER_S": "0.2",
    "LEDGER_FLUSH_S": "1",
    "HALT_RETRY_S": "2",
    "RESTART_S": "1",
    "RESTART_MAX_S": "4",
    "LAG_S": "1",
    "WORKERS": "3",
}
# Table care: as soon as there is anything to compact; now and then; not while a test lasts.
CARE = {
    "eager": {"CARE_LOOK_S": "0.2", "CARE_FILES": "2", "CARE_SHARE": "1"},
    "often": {"CARE_LOOK_S": "2", "CARE_FILES": "12", "CARE_SHARE": "0.1"},
    "none": {"CARE_LOOK_S": "86400"},
}
# A look at the ledger costs CPU that the process under test needs.
_POLL_S, _LOOK_S = 0.05, 1.0


class Arena:
    """Servers start with the first use; `close` ends everything that was started."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.kills: dict[str, int] = {}
        self._folder, self._ports = folder, Ports()
        data = folder / "data"
        data.mkdir(parents=True)
        self._broker = kafka.child(folder / "kafka", *any_free(self._ports, 2), jars_dir=JARS_DIR)
        url = f"http://127.0.0.1:{any_free(self._ports)[0]}"
        registry = stages.registry(url, {"CAUDAL_DATA_DIR": str(folder / "registry")})
        self._servers = {child.name: self._begun(child) for child in (self._broker, registry)}
        (folder / "contracts").mkdir()
        catalog = made(folder / "contracts")
        self.settings = Settings(
            data_dir=data,
            contracts_dir=folder / "contracts",
            kafka={"bootstrap": self._broker.url},
            registry={"url": url},
            schemas={"contracts_topic": f"contracts.{folder.name}"},
        )
        self.released: dict[str, Released] = {}
        self._release(catalog)
        for name in (COMMANDS, RESULTS):
            topics.ensure(self.settings, name, 1, {})
        self.play = Play(self.released, self.chance)
        self.sent: dict[Place, Sent] = {}
        self._asked: set[str] = set()
        conf = {**topics.client_conf(self.settings), "acks": "all", "enable.idempotence": True}
        # What is sent while the broker is away arrives once it is back.
        self._producer = Producer({**conf, "message.timeout.ms": 900_000, "linger.ms": 5})
        self._process: subprocess.Popen[bytes] | None = None
        self._armed = folder / "armed"
        self._crash = folder / "crash"

    def grow(self) -> None:
        """Release a version with another field while everything goes on, or while nothing runs."""
        self._release(made(self._folder / "contracts", grown=True))
        self.play.grow()

    def _release(self, catalog: Catalog) -> None:
        assert apply.first_error(apply.apply(self.settings, catalog)) is None
        feed = ContractFeed(self.settings)
        # The player reads from this very dictionary.
        self.released.update({name: one for name, one in feed.read_to_end().items() if name in ALL})
        feed.close()

    # ---- streaming

    def start(self, armed: str | None = None, care: str = "often") -> None:
        """A streaming process, unless one runs; `armed` (point:nth) from its first moment, with `care` for tables."""
        if self._process is not None and self._process.poll() is None:
            return
        self._armed.unlink(missing_ok=True)
        if armed:
            point, _, nth = armed.partition(":")
            self.arm(point, int(nth))
        environment = {
            **environment_of(self.settings),
            **{f"CAUDAL_STREAMING__{name}": value for name, value in {**QUICK, **CARE[care]}.items()},
            "CAUDAL_CRASH_DIR": str(self._crash),
            "CAUDAL_CRASHPOINT": f"@{self._armed}",
            "SPARK_LOCAL_IP": "127.0.0.1",
        }
        with (self._folder / "streaming.log").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "caudal.cli.main", "run", "streaming"],
                env=environment, cwd=self._folder, stderr=out, stdout=out, start_new_session=True,
            )  # fmt: skip

    def arm(self, point: str, nth: int = 1) -> None:
        """Let the process die when it passes the point for the nth time from now."""
        (self._crash / point).unlink(missing_ok=True)
        part = self._armed.with_suffix(".part")
        part.write_text(f"{point}:{nth}", encoding="utf-8")
        part.rename(self._armed)

    def died_at(self, point: str) -> bool:
        """Whether the process has died of SIGKILL and its marker says that it was there; counts the kill."""
        assert self._process is not None
        code = self._process.poll()
        if code is None:
            return False
        marker = self._crash / point
        assert (code, marker.exists()) == (-signal.SIGKILL, True), f"ended with {code}: {self.tail()}"
        assert int(marker.read_text(encoding="utf-8")) == self._process.pid
        self.kills[point] = self.kills.get(point, 0) + 1
        return True

    def until_dead(self, point: str, more: Sequence[str] = ()) -> None:
        """Wait for the death at the point; once nothing is under way, send `more` of these contracts."""
        looked, deadline = time.monotonic(), time.monotonic() + PATIENCE_S
        while not self.died_at(point):
            assert time.monotonic() < deadline, f"not dead at {point}: {self.tail()}"
            if more and time.monotonic() >= looked + _LOOK_S:
                looked = time.monotonic()
                if not self._waiting():
                    self.send(8, more)
            time.sleep(_POLL_S)

    def _waiting(self) -> bool:
        """Whether something sent is not in the ledger yet."""
        self.arrived()
        return self.read() < len(self.sent)

    def kill(self) -> None:
        """SIGKILL the process and its JVM at whatever they do now."""
        assert self._process is not None
        assert self._process.poll() is None, self.tail()
        signal_group(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self.kills["any moment"] = self.kills.get("any moment", 0) + 1

    def stop(self) -> None:
        """SIGTERM: the process finishes what it does, and writes the ledger."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGTERM)
        assert self._process.wait(120) == 0, self.tail()

    def ensure_stopped(self) -> None:
        """No process runs from here on."""
        if self._process is not None and self._process.poll() is None:
            self.stop()

    # ---- the broker

    def kill_broker(self) -> None:
        """SIGKILL, and start it again on the same log."""
        running = self._servers["kafka"]
        signal_group(running.pid, signal.SIGKILL)
        running.process.wait(30)
        self.kills["broker"] = self.kills.get("broker", 0) + 1
        self._servers["kafka"] = self._begun(self._broker)

    # ---- what goes in

    def send(self, count: int, contracts: Sequence[str] = ALL) -> None:
        """So many records of each of these contracts; what has arrived is known with its place."""
        for one in self.play.records(count, contracts):
            self._produce(one)

    def _produce(self, one: Sent) -> None:
        self._producer.produce(
            one.contract, key=one.key, value=one.value, headers=list(one.headers), on_delivery=self._noted(one)
        )
        self._producer.poll(0)

    def send_broken(self, contract: str) -> None:
        """One record that a rule refuses and a replay can heal."""
        self._produce(self.play.broken(contract))

    def arrived(self) -> None:
        """Wait until the broker has taken all that was sent."""
        assert self._producer.flush(PATIENCE_S) == 0

    def ask(self, verb: str, arguments: Mapping[str, Any]) -> None:
        """Put a command on the log and go on."""
        identity = str(uuid.uuid4())
        self._asked.add(identity)
        command = {"id": identity, "verb": verb, "arguments": dict(arguments)}
        self._producer.produce(COMMANDS, key=identity.encode(), value=json.dumps(command).encode())
        self._producer.poll(0)

    def _noted(self, one: Sent) -> Callable[[Any, Message], None]:
        def note(error: Any, message: Message) -> None:
            assert error is None, error
            self.sent[message.topic(), message.partition(), message.offset()] = one  # type: ignore[index]

        return note

    # ---- what comes out

    def read(self) -> int:
        """Records that the ledger's table accounts for."""
        return self._sum("ops", "ledger", "coalesce(sum(read), 0)")

    def count(self, layer: str, table: str) -> int:
        """Rows of a table."""
        return self._sum(layer, table, "count(*)")

    @property
    def lake(self) -> Lake:
        return Lake.open(self.settings)

    def _sum(self, layer: str, table: str, what: str) -> int:
        if not self.lake.has_table(layer, table):
            return 0
        query = Query(self.lake)
        query.table("t", layer, table)
        return int(query.one(f"SELECT {what} FROM t"))

    def settled(self) -> None:
        """Wait until the ledger accounts for everything that was sent and every command is answered."""
        self.arrived()
        self.until(lambda: self.read() >= len(self.sent), "the ledger")
        self.until(lambda: not self.unanswered(), "answers")

    def unanswered(self) -> set[str]:
        """Commands without an answer."""
        if not self._asked:
            return set()
        conf = {**topics.client_conf(self.settings), "group.id": "arena", "enable.partition.eof": True}
        consumer = Consumer({**conf, "enable.auto.commit": False})
        consumer.assign([TopicPartition(RESULTS, 0, 0)])
        try:
            while (message := consumer.poll(10)) is not None and message.error() is None:
                answered = json.loads(message.value() or b"{}")
                if answered.get("id") in self._asked:
                    assert answered["ok"], answered
                    self._asked.discard(answered["id"])
        finally:
            consumer.close()
        return self._asked

    def verified(self) -> list[Check]:
        """Invariants 1 and 7 as `caudal verify` looks at them, all of Kafka compared."""
        return checks(self.settings)

    def differences(self) -> list[str]:
        """Silver, history, dead letters and ledger against the reference model."""
        contracts = {name: one.contract for name, one in self.released.items()}
        return Model(self.lake, contracts, self.sent, self.play.c_of).differences()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition while the process lives."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert self._process is None or self._process.poll() is None, f"ended, waiting for {what}: {self.tail()}"
            assert time.monotonic() < deadline, f"not within {PATIENCE_S:.0f} s: {what}: {self.tail()}"
            time.sleep(_LOOK_S)

    def tail(self) -> str:
        """The end of streaming's log."""
        lines = (self._folder / "streaming.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-30:])

    def close(self) -> None:
        """End whatever was started."""
        if self._process is not None:
            signal_group(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
        for running in self._servers.values():
            running.stop(hurry=lambda: True)
        self._ports.release()

    def _begun(self, child: Child) -> Running:
        running = Running(replace(child, ready_s=PATIENCE_S), self._folder / "logs" / f"{child.name}.log")
        running.wait_ready()
        child.after()
        return running
