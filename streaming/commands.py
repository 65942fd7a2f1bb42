"""The command log: commands on one topic, answers on another. The verbs: ping, flush-ledger,
catch-up, replay, rebuild, compare, care, recover, restore, purge, retain.

A command's offset is committed after its answer, so one that was cut short is carried out again; all verbs may run
twice.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from caudal import log
from caudal.errors import CaudalError, Exit
from caudal.settings import Settings
from schemas import topics
from streaming import asked
from streaming.batches import Batches

COMMANDS, RESULTS = "caudal.commands", "caudal.results"
Verb = Callable[[str, Mapping[str, Any]], object]
"""Takes the command's id and arguments. The id is part of the transactions of what it commits."""
_log = log.get("streaming.commands")
_LONGEST_MS = 86_400_000


def verbs(batches: Batches, more: Mapping[str, Verb] | None = None) -> dict[str, Verb]:
    """What streaming does on command. Each verb takes the stage's lock itself when it writes to a contract's tables."""

    def flush(_: str, __: Mapping[str, Any]) -> object:
        return {"lines": batches.flush()}

    def catch_up(_: str, arguments: Mapping[str, Any]) -> object:
        return {"covered": batches.catch_up(arguments.get("contract"))}

    return {
        "ping": lambda _, __: {"batch": batches.raw.batch},
        "flush-ledger": flush,
        "catch-up": catch_up,
        "replay": partial(asked.replay, batches),
        "rebuild": partial(asked.rebuild, batches),
        "care": lambda identity, arguments: {"runs": asked.care(batches, identity, arguments)},
        **(more or {}),
        "compare": lambda identity, arguments: {"tables": asked.compare(batches, identity, arguments)},
    }


class Commands:
    """The thread that reads commands `{id, verb, arguments}` and writes answers `{id, ok, result | error}`.

    `idle` is called again and again while there is no command: work of the same kind that nobody has to ask for.
    """

    def __init__(
        self, settings: Settings, query: str, known: Mapping[str, Verb], idle: Callable[[], None] = lambda: None
    ) -> None:
        self._settings, self._known, self._idle = settings, known, idle
        self._group = f"caudal.streaming.{query}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="commands", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        for name in (COMMANDS, RESULTS):
            topics.ensure(self._settings, name, 1, {"retention.ms": str(7 * 24 * 3_600_000)})
        self._thread.start()

    def stop(self) -> None:
        """Finish the command that runs, then end."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        from confluent_kafka import Consumer, KafkaException, Producer

        conf = topics.client_conf(self._settings)
        consumer = Consumer(
            {
                **conf,
                "group.id": self._group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                # After a kill the group waits for the dead member so long; by default 45 s.
                "session.timeout.ms": 10_000,
                # A command may take hours; the group must not take its reader for dead meanwhile.
                "max.poll.interval.ms": _LONGEST_MS,
            }
        )
        producer = Producer({**conf, "acks": "all", "enable.idempotence": True})
        consumer.subscribe([COMMANDS])
        try:
            while not self._stop.is_set():
                message = consumer.poll(0.5)
                if message is None:
                    self._tend()
                    continue
                if message.error() is not None:
                    continue
                answered = answer(message.value(), self._known)
                if answered is not None:
                    producer.produce(RESULTS, key=str(answered["id"]).encode(), value=json.dumps(answered).encode())
                    if producer.flush(10) > 0:
                        continue
                try:
                    consumer.commit(message, asynchronous=False)
                except KafkaException as error:
                    # The broker is away, say. The answer is given; should the command come again, it does no harm.
                    _log.warning("a command's offset is not committed", kind=error.args[0].name())
        finally:
            consumer.close()

    def _tend(self) -> None:
        try:
            self._idle()
        except Exception as error:  # noqa: BLE001 - whatever it was, commands are answered, and it is tried again
            _log.warning("what was due failed", kind=type(error).__name__)


def answer(value: bytes | None, known: Mapping[str, Verb]) -> dict[str, Any] | None:
    """Carry out one command; None for what is none of ours (another stage's verb, or not JSON)."""
    try:
        found = json.loads(value or b"")
        name, identity = found["verb"], found["id"]
    except (ValueError, KeyError, TypeError):
        return None
    verb = known.get(name)
    if verb is None:
        return None
    try:
        return {"id": identity, "ok": True, "result": verb(str(identity), found.get("arguments") or {})}
    except CaudalError as error:
        return {"id": identity, "ok": False, "error": error.facts(), "exit_code": int(error.exit_code)}
    except Exception as error:  # noqa: BLE001 - an answer must be given whatever happened
        _log.warning("command failed", verb=name, kind=type(error).__name__)
        facts = {"code": "CDL-UNEXPECTED", "what": type(error).__name__}
        return {"id": identity, "ok": False, "error": facts, "exit_code": int(Exit.UNEXPECTED)}
