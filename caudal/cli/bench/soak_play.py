"""The soak's records: readings and states of devices, with copies, late ones and spoiled ones, in several versions."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Producer

from caudal.settings import Settings
from producers.encode import compile_encoder, message_key
from schemas import topics
from schemas.distribution import Released

COPIES, SPOILED, LATE = 0.10, 0.01, 0.02
_TENANTS, _DEVICES, _RECENT = 50, 20_000, 5_000
_DAY_MS = 24 * 3_600_000
_STEP_S = 0.02


class Play:
    """Publishes `rate` events/s of all contracts together until it is stopped. `sent` counts what was handed over."""

    def __init__(self, settings: Settings, released: Mapping[str, Released], rate: int, seed: int) -> None:
        self._rate, self._chance = rate, random.Random(seed)
        conf = {**topics.client_conf(settings), "acks": "all", "enable.idempotence": True, "linger.ms": 5}
        # What is sent while the broker is away arrives once it is back.
        self._producer = Producer({**conf, "message.timeout.ms": 900_000, "queue.buffering.max.messages": 1_000_000})
        self._writers: list[tuple[str, Callable[[], tuple[bytes, bytes]]]] = []
        self._recent: list[tuple[str, bytes, bytes]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="soak", daemon=True)
        self._number = 0
        self.sent = 0
        self.refused = 0
        self.use(released)

    def use(self, released: Mapping[str, Released]) -> None:
        """Write the two newest versions of each contract from here on, as programs of different age do."""
        self._writers = [
            (one.contract.topic, self._writer(one, version.number))
            for one in released.values()
            for version in one.contract.versions[-2:]
        ]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, patience_s: float = 120) -> int:
        """End, and wait until the broker has taken everything; records that it never took."""
        self._stop.set()
        self._thread.join(30)
        return int(self._producer.flush(patience_s)) + self.refused

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(_STEP_S):
            due = int((time.monotonic() - began) * self._rate)
            while self.sent < due:
                topic, key, value = self._next()
                self._producer.produce(topic, key=key, value=value, on_delivery=self._noted)
                self.sent += 1
            self._producer.poll(0)

    def _noted(self, error: object, _: object) -> None:
        self.refused += error is not None

    def _next(self) -> tuple[str, bytes, bytes]:
        if self._recent and self._chance.random() < COPIES:
            return self._chance.choice(self._recent)
        topic, write = self._writers[self._number % len(self._writers)]
        key, value = write()
        if self._chance.random() < SPOILED / 2:
            return topic, key, value[:-3]
        made = (topic, key, value)
        if len(self._recent) < _RECENT:
            self._recent.append(made)
        else:
            self._recent[self._number % _RECENT] = made
        return made

    def _writer(self, one: Released, version: int) -> Callable[[], tuple[bytes, bytes]]:
        wire = one.contract.version(version).wire
        encode, names = compile_encoder(wire, one.ids[version]), [item["name"] for item in wire["fields"]]
        base = {item["name"]: item.get("default") for item in wire["fields"]}

        def write() -> tuple[bytes, bytes]:
            record = {**base, **self._record()}
            record = {name: record[name] for name in names}
            return message_key([record[name] for name in one.contract.message_key]), encode(record)

        return write

    def _record(self) -> dict[str, Any]:
        chance, now = self._chance, int(time.time() * 1000)
        self._number += 1
        device = chance.randrange(_DEVICES)
        # Older than the lateness: applied all the same, with a flag.
        occurred = now - 10 * _DAY_MS if chance.random() < LATE else now
        return {
            "event_id": f"s{self._number}",
            "tenant_id": f"tenant-{device % _TENANTS}",
            "device_id": f"device-{device}",
            "occurred_at": occurred,
            "value": -1.0 if chance.random() < SPOILED / 2 else chance.random(),
            "unit": "C",
            "revision": self._number,
            "origin": {
                "source": "soak", "run": None, "position": None, "observed_at": now, "published_at": now,
            },
        }  # fmt: skip
