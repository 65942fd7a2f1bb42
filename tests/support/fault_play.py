"""Random records for fault tests: three contracts, copies, late ones, bad ones, deletes and truncates, by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.contract import Catalog, Contract
from schemas.distribution import Released
from tests.support import contracts
from tests.support.change_contracts import FIELDS, YAML
from tests.support.stream_reference import Change, Event
from tests.support.wire_records import NOON, delete_headers, framed, key_of, record

EVENTS, STATES, CHANGES = "fault.event", "fault.state", "fault.change"
ALL = (EVENTS, STATES, CHANGES)
BROKEN = "CDL-RULE-NOT_BAD"
"""The letters that a replay heals, by setting `a` to FIXED."""
FIXED = "fixed"
DAY = 86_400_000
TENANTS, KEYS = 6, 25
_COPY, _BAD, _ODD = 0.12, 0.08, 0.12
_RULE = "quality: [{code: NOT_BAD, rule: \"a <> 'bad'\", on_fail: reject}]\n"


@dataclass(frozen=True)
class Sent:
    """One Kafka record and what it is: `what` of a good one or one that a fix heals, `code` of a refused one."""

    contract: str
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    what: Event | Change | None
    code: str | None = None


def made(root: Path, *, grown: bool = False) -> Catalog:
    """An append, an upsert and a cdc contract with history; `grown`: the append one has a second version with `c`."""
    plain = contracts.YAML + _RULE
    upsert = plain.replace("mode: append", "mode: upsert") + "key: [tenant_id, thing_id]\nsequence: [happened_at]\n"
    # Names that raw has, too.
    same = tuple(contracts.field(name, "string") for name in ("value", "key", "headers", "topic", "offset"))
    fields = (contracts.field("a", "string"), contracts.pii("b", "email"), *same)
    versions = (fields, (*fields, contracts.field("c", "long"))) if grown else (fields,)
    yaml = YAML.replace("ID", CHANGES, 1)
    found = (
        contracts.make(root, *versions, id=EVENTS, yaml=plain, name="Event"),
        contracts.make(root, fields, id=STATES, yaml=upsert, name="State"),
        contracts.make(root, (*FIELDS, *same), id=CHANGES, yaml=yaml, name="Change"),
    )
    return Catalog({contract.id: contract for contract in found})


class Play:
    """Records of one seed. Ids are never used twice, but for copies and conflicts."""

    def __init__(self, released: Mapping[str, Released], chance: random.Random) -> None:
        self._released, self._chance = released, chance
        self._sent: dict[str, list[Sent]] = {name: [] for name in ALL}
        self._number = 0
        self._grown_at: int | None = None

    def grow(self) -> None:
        """From here on every other new event is of the append contract's second version."""
        self._grown_at = self._number if self._grown_at is None else self._grown_at

    def c_of(self, event_id: str) -> int | None:
        """What `c` an event has: its number, or none in the first version."""
        number = int(event_id[1:])
        return number if self._grown_at is not None and number > self._grown_at and number % 2 else None

    def records(self, count: int, contracts: Sequence[str] = ALL) -> Iterator[Sent]:
        """So many records of each of these contracts, mixed."""
        for _ in range(count):
            for name in contracts:
                made = self._copy(name) or self._bad(name) or self._good(name)
                self._sent[name].append(made)
                yield made

    def broken(self, contract: str) -> Sent:
        """A record that a rule refuses."""
        made = self._good(contract, broken="rule")
        self._sent[contract].append(made)
        return made

    def _copy(self, name: str) -> Sent | None:
        before = self._sent[name]
        return self._chance.choice(before[-200:]) if before and self._chance.random() < _COPY else None

    def _bad(self, name: str) -> Sent | None:
        if self._chance.random() >= _BAD:
            return None
        whole = self._good(name, fresh=True)
        while whole.value is None or (isinstance(whole.what, Change) and whole.what.op == "t"):
            whole = self._good(name, fresh=True)
        value: bytes | None = whole.value
        kind = self._chance.choice(("rule", "rule", "short", "long", "magic", "null", "future"))
        if kind in ("rule", "future"):
            return self._good(name, broken=kind)
        code, spoiled = {
            "short": ("CDL-GARBAGE", value[:-3]),
            "long": ("CDL-TRAILING", value + b"xyz"),
            "magic": ("CDL-MAGIC", b"{}"),
            "null": ("CDL-NULL", None),
        }[kind]
        return Sent(name, whole.key, spoiled, (), None, code)

    def _good(self, name: str, broken: str | None = None, fresh: bool = False) -> Sent:
        self._number += 1
        chance, identity = self._chance, f"e{self._number}"
        place = (f"t{chance.randrange(TENANTS)}", f"k{chance.randrange(KEYS)}")
        if name == CHANGES:
            return self._change(place, identity, broken)
        time = NOON - chance.randrange(0, 20_000)
        note = chance.choice(("x", "y", "z"))
        late = chance.random() < _ODD
        if name == EVENTS:
            time -= chance.randrange(7 * DAY, 20 * DAY) if late else 0
            if not broken and not fresh and chance.random() < 0.05:
                place, identity, time, note = self._conflict(place, identity, time, note)
            return self._event(name, Event(*place, identity, time, note), broken)
        return self._event(name, Event(*place, identity, time, note, delete=not broken and late), broken)

    def _conflict(self, place: tuple[str, str], identity: str, time: int, note: str) -> tuple[Any, str, int, str]:
        """The id of an event before, near or far in time, perhaps with other content."""
        before = [s.what for s in self._sent[EVENTS][-200:] if s.code is None and isinstance(s.what, Event)]
        if not before:
            return place, identity, time, note
        one = self._chance.choice(before)
        apart = self._chance.choice((0, 0, 5 * DAY, 9 * DAY, 16 * DAY))
        return (one.tenant, one.key), one.event_id, one.time - apart, note

    def _event(self, name: str, event: Event, broken: str | None) -> Sent:
        one = self._released[name]
        if event.delete:
            key = f'["{event.tenant}","{event.key}"]'.encode()
            return Sent(name, key, None, tuple(delete_headers(event.event_id, [event.time])), event)
        fields: dict[str, Any] = {
            "event_id": event.event_id,
            "tenant_id": event.tenant,
            "thing_id": event.key,
            "a": event.note,
        }
        version, c = 1, self.c_of(event.event_id) if name == EVENTS else None
        if c is not None:
            version, fields["c"] = 2, c
        return _sent(one, {**fields, "happened_at": event.time}, event, broken, version)

    def _change(self, place: tuple[str, str], identity: str, broken: str | None) -> Sent:
        chance = self._chance
        sequence, op = self._number // 3 - chance.randrange(30), "u"
        if not broken:
            op = chance.choices(("u", "d", "null", "t"), (84, 8, 6, 2))[0]
        values = [chance.choice((None, "1", "2")) for _ in range(2)]
        if broken:
            values[0] = "bad"
        time = NOON - 1000 * chance.randrange(60)
        change = Change(*place, identity, sequence, time, op, *values)
        if op == "null":
            key = f'["{change.tenant}","{change.key}"]'.encode()
            headers = delete_headers(identity, [sequence], observed_at=time)
            return Sent(CHANGES, key, None, tuple(headers), change)
        mask = None if change.b is None else {"mask": f"{change.b}{change.b}***@x.com", "token": change.b.encode()}
        fields = {
            "event_id": identity, "tenant_id": change.tenant, "thing_id": change.key, "happened_at": time,
            "a": change.a, "b": mask, "_op": op, "_sequence": sequence, "observed_at": time,
        }  # fmt: skip
        return _sent(self._released[CHANGES], fields, change, broken)


def _sent(one: Released, fields: Mapping[str, Any], what: Event | Change, broken: str | None, version: int = 1) -> Sent:
    code = None
    if broken == "rule":
        fields, code = {**fields, "a": "bad"}, BROKEN
    if broken == "future":
        observed = fields.get("observed_at", NOON)
        fields, code, what_ = {**fields, "happened_at": observed + 301_000}, "CDL-FUTURE", None
    else:
        what_ = what
    contract: Contract = one.contract
    value = record(contract, version, **fields)
    return Sent(contract.id, key_of(contract, value), framed(one, value, version), (), what_, code)
