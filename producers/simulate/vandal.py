"""Records that no contract allows, put on Kafka past the SDK, so that dead letters can be seen.

Each is made from a good record of a real contract: cut short, with a wrong magic byte, with bytes behind it, of noise,
or null. Two more come only when the demo switches them on: a CPF in clear, and a schema that nobody can read.
"""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import fastavro

from caudal import log
from caudal.errors import CaudalError
from producers.delivery import Delivery
from producers.encode import compile_encoder
from producers.publish import Publisher
from producers.publish_prepare import Prepared
from producers.simulate.faults import Faults
from producers.simulate.payments import TRANSACTION, Timeline

# Long enough to be seen, short enough that dead letters stay few.
FAULT_EVERY_S = 0.5

Spoil = Callable[[bytes], bytes | None]
SPOILED: dict[str, Spoil] = {
    "truncated": lambda value: value[: len(value) // 2],
    "magic": lambda value: b"\x07" + value[1:],
    "trailing": lambda value: value + b"\x00\x01\x02",
    "garbage": lambda value: value[:5] + bytes(255 - byte for byte in value[5:]),
    "null": lambda value: None,
}


class Vandal:
    """One thread's work: `run` returns when told to stop."""

    def __init__(
        self,
        timeline: Timeline,
        publisher: Publisher,
        delivery: Delivery,
        register: Callable[[str, dict[str, Any]], int],
        faults: Faults,
        every_s: float,
    ) -> None:
        """`register(subject, schema)` puts a schema into the registry and returns its id."""
        self._timeline, self._publisher, self._delivery = timeline, publisher, delivery
        self._register, self._faults, self._every_s = register, faults, every_s
        self._draw = random.Random()
        self._log = log.get("simulate.vandal")
        self._rogue: Callable[[dict[str, Any]], bytes] | None = None

    def run(self, stop: threading.Event) -> None:
        """One of each kind at once, then one at random every `every_s` seconds; faults while they are on."""
        pending = list(SPOILED) if self._every_s else []
        quiet = 0.0
        while not stop.wait(FAULT_EVERY_S):
            quiet += FAULT_EVERY_S
            try:
                if self._faults.on("pii"):
                    self._send(self.in_clear())
                if self._faults.on("schema"):
                    self._send(self.unreadable())
                if pending:
                    self._send(self.spoiled(pending[-1]))
                    pending.pop()
                elif self._every_s and quiet >= self._every_s:
                    quiet = 0.0
                    self._send(self.spoiled(self._draw.choice(list(SPOILED))))
                self._delivery.flush()
            except CaudalError as error:
                self._log.warning("not_sent", code=error.code)

    def spoiled(self, kind: str) -> Prepared:
        """A good record, spoiled."""
        good = self._good()
        return replace(good, value=SPOILED[kind](good.value or b""))

    def in_clear(self) -> Prepared:
        """A record whose CPF field holds a whole CPF as its mask."""
        good = self._good()
        wire = dict(good.wire)
        row = self._draw.randrange(self._timeline.history_end)
        wire["customer_cpf"] = wire["customer_cpf"] | {"mask": self._timeline.transaction(row)["customer_cpf"]}
        released = self._publisher.contracts.get(TRANSACTION)
        version = released.contract.version(good.version)
        return replace(good, value=compile_encoder(version.wire, released.ids[good.version])(wire))

    def unreadable(self) -> Prepared:
        """A record of a schema in which the amount is text: a known id, but nothing the contract can read."""
        good = self._good()
        if self._rogue is None:
            schema = {
                "type": "record",
                "name": "Transaction",
                "namespace": "rogue.payments",
                "fields": [{"name": "event_id", "type": "string"}, {"name": "amount", "type": "string"}],
            }
            self._rogue = _encoder(schema, self._register("rogue.payments.transaction-value", schema))
        return replace(good, value=self._rogue({"event_id": good.event_id, "amount": "much"}))

    def _good(self) -> Prepared:
        """A payment that was never made: its identity is new each time."""
        event = self._timeline.transaction(self._draw.randrange(self._timeline.history_end))
        event["event_id"] = f"vandal-{self._draw.getrandbits(64):016x}"
        return self._publisher.prepare(TRANSACTION, event, observed_at=event["occurred_at"])

    def _send(self, record: Prepared) -> None:
        self._delivery.send(record)


def _encoder(schema: dict[str, Any], registry_id: int) -> Callable[[dict[str, Any]], bytes]:
    parsed = fastavro.parse_schema(schema)
    header = b"\x00" + registry_id.to_bytes(4, "big")

    def encode(record: dict[str, Any]) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, parsed, record)
        return header + out.getvalue()

    return encode
