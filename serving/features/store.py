"""The online store: packed states in Redis or Valkey, written by one Function.

Keys (the braces are Redis Cluster's hash tags: all keys of one ref lie on one node, as the Function needs):
`fs:<version>:<tenant>:<entity>:{<ref>}` a state, `fl:…` its labels, `fs:gone:<tenant>:{<ref>}` a tombstone,
`fs:<version>:positions` how far each Kafka partition is in the store, `…:epoch` and `…:loading` whether it may be
asked, `decision:<tenant>:<event id>` a decision.

Positions are written in the pipeline that wrote the states, so whatever part of its memory a server loses, it says
itself from where to read again. Promise: a method did all it says or raises StoreAway; everything may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, cast

from serving.errors import StoreAway
from serving.features.spec import DAY_MS, Entity
from serving.features.state import EMPTY, VERSION

# A late event may come 7 days after its time and must still meet its state; one day more for slow clocks.
GRACE_MS = 8 * DAY_MS
DECISION_KEEP_MS = 38 * DAY_MS


def state_key(tenant: str, entity: str, ref: str) -> str:
    """Where an entity's events are."""
    return f"fs:{VERSION}:{tenant}:{entity}:{{{ref}}}"


def label_key(tenant: str, entity: str, ref: str) -> str:
    """Where an entity's labels are."""
    return f"fl:{VERSION}:{tenant}:{entity}:{{{ref}}}"


def gone_key(tenant: str, ref: str) -> str:
    """The tombstone of an erased ref: while it is there nothing is written for that ref."""
    return f"fs:gone:{tenant}:{{{ref}}}"


def decision_key(tenant: str, event_id: str) -> str:
    """Where the decision on a transaction is."""
    return f"decision:{tenant}:{event_id}"


POSITIONS = f"fs:{VERSION}:positions"
EPOCH = f"fs:{VERSION}:epoch"
LOADING = f"fs:{VERSION}:loading"


@dataclass
class Batch:
    """Writes and reads of one pipeline, in order; `Store.run` answers each by its index."""

    commands: list[tuple[Any, ...]] = field(default_factory=list)

    def event(self, entity: Entity, tenant: str, ref: str, record: bytes) -> int:
        """Insert an event; answers the state after it (None: the ref was erased)."""
        return self._add(state_key(tenant, entity.name, ref), tenant, ref, entity, record)

    def label(self, entity: Entity, tenant: str, ref: str, record: bytes) -> int:
        """Insert a label; answers the label state after it."""
        return self._add(label_key(tenant, entity.name, ref), tenant, ref, entity, record)

    def born(self, entity: Entity, tenant: str, ref: str, ms: int) -> int:
        """Note an account's creation; answers the state after it."""
        key = state_key(tenant, entity.name, ref)
        return self._push("FCALL", "caudal_fs_born", 2, key, gone_key(tenant, ref), ms)

    def state(self, entity: Entity, tenant: str, ref: str) -> int:
        """Read an entity's events."""
        return self._push("GET", state_key(tenant, entity.name, ref))

    def labels(self, entity: Entity, tenant: str, ref: str) -> int:
        """Read an entity's labels."""
        return self._push("GET", label_key(tenant, entity.name, ref))

    def positions(self, positions: Mapping[str, int]) -> None:
        """Note how far partitions (`topic:partition`) are; goes last, after the states it speaks of."""
        if positions:
            self._push("HSET", POSITIONS, *(x for item in positions.items() for x in item))

    def _add(self, key: str, tenant: str, ref: str, entity: Entity, record: bytes) -> int:
        keep = entity.keep_ms
        return self._push(
            "FCALL", "caudal_fs_add", 2, key, gone_key(tenant, ref), keep, entity.cap, keep + GRACE_MS, record
        )

    def _push(self, *command: Any) -> int:
        self.commands.append(command)
        return len(self.commands) - 1


class Store:
    """A connection to the feature store. Safe to share between threads."""

    def __init__(self, url: str, timeout_s: float = 2.0, decision_ms: int = DECISION_KEEP_MS) -> None:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        # No silent retries: callers decide, because each has its own way to wait (a poll loop, a 503).
        self._client: Any = redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._decision_ms = decision_ms
        loading = redis.exceptions.BusyLoadingError
        self._away: tuple[type[Exception], ...] = (redis.ConnectionError, redis.TimeoutError, loading)

    def load(self) -> None:
        """Load the Function; replaces an older one."""
        code = files("serving.features").joinpath("function.lua").read_text(encoding="utf-8")
        self._one("FUNCTION", "LOAD", "REPLACE", code)

    def run(self, batch: Batch) -> list[Any]:
        """Send everything in one pipeline; answers in order. On StoreAway nothing, a part or all was written."""
        if not batch.commands:
            return []
        answers = self._send(batch.commands)
        if any(isinstance(a, Exception) and "unction not found" in str(a) for a in answers):
            self.load()  # the server lost its memory; inserting again changes nothing that was written
            answers = self._send(batch.commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise StoreAway("the feature store refused a command", why=type(answer).__name__) from answer
        return answers

    def first(self, decisions: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """Store each decision's bytes unless there are some already; answers the bytes that hold from now on."""
        commands = [("SET", key, value, "PX", self._decision_ms, "NX", "GET") for key, value in decisions]
        answers = self._send(commands, get=True) if commands else []
        out = []
        for (_, mine), stored in zip(decisions, answers, strict=True):
            if isinstance(stored, Exception):
                raise StoreAway("the feature store refused a decision", why=type(stored).__name__) from stored
            out.append(mine if stored is None else cast("bytes", stored))
        return out

    def decision(self, tenant: str, event_id: str) -> bytes | None:
        """The stored decision on a transaction, if any."""
        answer = self._one("GET", decision_key(tenant, event_id))
        return cast("bytes | None", answer)

    def read(self, entity: Entity, tenant: str, ref: str) -> tuple[bytes, bytes]:
        """State and label state of one entity; empty when it was never seen."""
        batch = Batch()
        batch.state(entity, tenant, ref)
        batch.labels(entity, tenant, ref)
        state, labels = self.run(batch)
        return state or EMPTY, labels or b""

    def positions(self) -> dict[str, int]:
        """How far each partition (`topic:partition`) is in the store: the next offset to read."""
        found = self._one("HGETALL", POSITIONS)
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {k.decode(): int(v) for k, v in pairs}

    def opened(self) -> None:
        """Note that somebody fills this store: a server that lost its memory has no such mark and answers nobody."""
        self._one("SET", EPOCH, VERSION)

    def loading(self, partition: str, behind: bool) -> None:
        """Note that a partition (`topic:partition`) is being read again into the store, or that it is done."""
        self._one("SADD" if behind else "SREM", LOADING, partition)

    def require_ready(self) -> None:
        """Raises StoreAway unless the store holds all that the scorer has seen: a gap looks like a new customer."""
        answers = self._send([("EXISTS", EPOCH), ("SCARD", LOADING)])
        if answers != [1, 0]:
            raise StoreAway("the feature store is being filled", retry_after=5.0, fix="try again in some seconds")

    def forget(self, tenant: str, ref: str, entities: Sequence[str]) -> None:
        """Erase a ref: tombstone first, then its keys. Lifting the tombstone is the eraser's."""
        keys = [make(tenant, e, ref) for e in entities for make in (state_key, label_key)]
        self._send([("SET", gone_key(tenant, ref), b"1"), ("DEL", *keys)])

    def is_gone(self, tenant: str, ref: str) -> bool:
        """Whether the ref has a tombstone."""
        return bool(self._one("EXISTS", gone_key(tenant, ref)))

    def states(self) -> Iterator[tuple[str, str, str]]:
        """(tenant, entity, ref) of every state, in no order."""
        prefix = f"fs:{VERSION}:"
        try:
            for raw in self._client.scan_iter(match=f"{prefix}*", count=1000):
                name = raw.decode().removeprefix(prefix)
                if not name.endswith("}") or ":{" not in name:
                    continue
                place, _, ref = name[:-1].partition(":{")
                tenant, _, entity = place.rpartition(":")
                yield tenant, entity, ref
        except self._away as error:
            raise _away(error) from error

    def ping(self) -> None:
        """Raises StoreAway when the server does not answer."""
        self._one("PING")

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _one(self, *command: Any) -> Any:
        answer = self._send([command])[0]
        if isinstance(answer, Exception):
            raise StoreAway("the feature store refused a command", why=type(answer).__name__) from answer
        return answer

    def _send(self, commands: Sequence[tuple[Any, ...]], **parse: Any) -> list[Any]:
        try:
            pipeline = self._client.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command, **parse)
            answers: list[Any] = pipeline.execute(raise_on_error=False)
        except self._away as error:
            raise _away(error) from error
        for answer in answers:
            if isinstance(answer, self._away):
                raise _away(answer) from answer
        return answers


def _away(error: Exception) -> StoreAway:
    return StoreAway(
        "the feature store does not answer",
        retry_after=2.0,
        why=type(error).__name__,
        fix="see `caudal status`; the supervisor restarts it",
    )
