"""What silver, history, dead letters and ledger must hold for what was sent, in plain Python; where they differ."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from caudal.lake import Lake
from caudal.query import Query
from schemas.contract import Contract
from tests.support import stream_reference as reference
from tests.support.fault_play import BROKEN, CHANGES, EVENTS, FIXED, Sent
from tests.support.stream_reference import Change, Event
from tests.support.wire_records import NOON

Place = tuple[str, int, int]
"""Topic, partition, offset."""
STATES = ("applied", "duplicate", "superseded")


class Model:
    """The lake at rest: nothing is under way, and the ledger is flushed."""

    def __init__(
        self,
        lake: Lake,
        contracts: Mapping[str, Contract],
        sent: Mapping[Place, Sent],
        c_of: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        """`c_of` tells the added field of an event by its id."""
        self._lake, self._contracts, self._sent, self._c_of = lake, contracts, sent, c_of
        self.healed = 0

    def differences(self) -> list[str]:
        """One line for each thing that is not as it must be."""
        return [line for contract in self._contracts.values() for line in self._contract(contract)]

    def _contract(self, contract: Contract) -> list[str]:
        name, out = contract.id, []
        mine = {place: sent for place, sent in self._sent.items() if sent.contract == name}
        order = '_batch, "partition", "offset"'
        raw = [
            ((r["topic"], r["partition"], r["offset"]), r["_batch"])
            for r in self._rows("raw", "events", 'topic, "partition", "offset", _batch', order)
            if r["topic"] == contract.topic
        ]
        out += _compared(f"{name}: raw", Counter(place for place, _ in raw), Counter(mine.keys()))
        letters = self._rows("quarantine", "dead_letters", 'contract, topic, "partition", "offset", code')
        healed = self._healed()
        groups, refused = self._groups(name, raw, mine, healed)
        out += refused
        found = Counter(
            ((r["topic"], r["partition"], r["offset"]), r["code"]) for r in letters if r["contract"] == name
        )
        wanted = Counter((place, sent.code) for place, sent in mine.items() if sent.code)
        lines = self._lines(name)
        if name == EVENTS:
            counts, conflicts = self._append(groups, contract)
            wanted += Counter((place, "CDL-CONFLICT") for place in conflicts)
            out += self._events(groups, contract)
        elif name == CHANGES:
            counts = reference.cdc_counts(list(groups))
            out += self._changes(contract, [c for group in groups for c in group.values()])
        else:
            result = reference.upsert([list(group.values()) for group in groups])
            counts = Counter(result.counts)
            out += self._states(contract, result.rows)
        out += _compared(f"{name}: dead letters", found, wanted)
        total = {state: sum(line[state] for line in lines) for state in STATES}
        return out + _compared(f"{name}: ledger", Counter(total), Counter({s: counts[s] for s in STATES}))

    def _groups(
        self, name: str, raw: list[tuple[Place, int]], mine: Mapping[Place, Sent], healed: set[Place]
    ) -> tuple[list[dict[Place, Any]], list[str]]:
        """What silver was given together, in its order: raw's batches as the ledger joined them, and replays."""
        batch_of = dict(raw)
        waiting = {p for p in healed if p in mine}
        out = [f"{name}: a letter of another code is resolved" for p in waiting if mine[p].code != BROKEN][:1]
        self.healed += len(waiting)
        groups: list[dict[Place, Any]] = []
        before = 0
        for line in self._lines(name):
            if line["read"]:
                chosen = [p for p, b in raw if before < b <= line["batch"]]
                # Objects of their own: the reference tells copies of one event apart by identity.
                groups.append({p: replace(what) for p in chosen if mine[p].code is None and (what := mine[p].what)})
                before = line["batch"]
                refused = sum(1 for p in chosen if mine[p].code)
                # A conflict of an append is refused too, and is compared with the dead letters.
                if len(chosen) != line["read"] or (name != EVENTS and refused != line["dead_letter"]):
                    out.append(f"{name}, batch {before}: {dict(line)}, {len(chosen)} sent, {refused} of them bad")
            elif line["dead_letter"] < 0:
                taken = sorted((p for p in waiting if batch_of[p] <= line["batch"]), key=lambda p: (batch_of[p], *p))
                waiting -= set(taken)
                groups.append({p: _fixed(mine[p].what) for p in taken})
                if len(taken) != -line["dead_letter"]:
                    out.append(f"{name}: a replay took {-line['dead_letter']} letters, {len(taken)} are resolved")
        if waiting:
            out.append(f"{name}: {len(waiting)} letters are resolved that no replay took")
        return groups, out

    def _lines(self, name: str) -> list[dict[str, Any]]:
        """Lines of raw's batches and of replays, in silver's order; a rebuild's line only moves counts about."""
        columns = f"silver_version, batch, read, dead_letter, {', '.join(STATES)}"
        lines = self._rows("ops", "ledger", f"contract, {columns}", "silver_version")
        return [r for r in lines if r["contract"] == name and (r["read"] or r["dead_letter"] < 0)]

    def _healed(self) -> set[Place]:
        marks = self._rows("quarantine", "resolutions", 'topic, "partition", "offset", resolution')
        return {(r["topic"], r["partition"], r["offset"]) for r in marks if r["resolution"] == "replayed"}

    def _append(self, groups: list[dict[Place, Event]], contract: Contract) -> tuple[Counter[str], list[Place]]:
        """Counts, and the places of conflicts."""
        states = reference.append_states([list(g.items()) for g in groups], _lateness(contract))
        return Counter(states.values()), [place for place, state in states.items() if state == "conflict"]

    def _events(self, groups: list[dict[Place, Event]], contract: Contract) -> list[str]:
        reach = _lateness(contract)
        applied, _ = reference.append([list(group.values()) for group in groups], reach)
        wanted = Counter(
            (e.tenant, e.event_id, e.key, e.time, e.note, NOON - e.time > reach, self._c_of(e.event_id))
            for e in applied
        )
        found = Counter(
            (r["tenant_id"], r["event_id"], r["thing_id"], _ms(r["happened_at"]), r["a"], r["_late"], r.get("c"))
            for r in self._rows("silver", contract.table)
        )
        return _compared(f"{contract.id}: silver", found, wanted)

    def _states(self, contract: Contract, rows: Mapping[tuple[str, ...], Event]) -> list[str]:
        wanted = Counter(
            (*place, e.event_id, e.time, None if e.delete else e.note, e.delete) for place, e in rows.items()
        )
        found = Counter(
            (r["tenant_id"], r["thing_id"], r["event_id"], _ms(r["happened_at"]), r["a"], r["_deleted_at"] is not None)
            for r in self._rows("silver", contract.table)
        )
        return _compared(f"{contract.id}: silver", found, wanted)

    def _changes(self, contract: Contract, changes: list[Change]) -> list[str]:
        by_tenant: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            by_tenant[change.tenant].append(change)
        rows: dict[Any, Any] = {}
        versions: dict[Any, Any] = {}
        for mine in by_tenant.values():
            rows |= reference.cdc(mine, partial=False)
            versions |= reference.versions(mine)
        out = [f"{contract.id}: keys twice"] if len(rows) != len(set(rows)) else []
        found = Counter(
            (
                r["tenant_id"], r["thing_id"], r["event_id"], r["_sequence"], r["_deleted_at"] is not None,
                r["a"], r["b"] and r["b"][0],
            )
            for r in self._rows("silver", contract.table) if not r["thing_id"].startswith("__truncate__")
        )  # fmt: skip
        wanted = Counter((*place, row.event_id, row.sequence, row.deleted, row.a, row.b) for place, row in rows.items())
        out += _compared(f"{contract.id}: silver", found, wanted)
        kept = Counter(
            (r["tenant_id"], r["thing_id"], r["event_id"], _ms(r["_valid_from"]), _ms(r["_valid_to"]), r["_current"])
            for r in self._rows("silver", contract.history_table) if not r["thing_id"].startswith("__truncate__")
        )  # fmt: skip
        return out + _compared(
            f"{contract.id}: history", kept, Counter((*place, *version) for place, version in versions.items())
        )

    def _rows(self, layer: str, table: str, columns: str = "*", order: str = "1") -> list[dict[str, Any]]:
        query = Query(self._lake)
        query.table("t", layer, table)
        return query.rows(f"SELECT {columns} FROM t ORDER BY {order}")


def _fixed(what: Event | Change | None) -> Event | Change:
    """The record after the replay's fix."""
    if isinstance(what, Change):
        return replace(what, a=FIXED)
    assert what is not None
    return replace(what, note=FIXED)


def _lateness(contract: Contract) -> int:
    return round(contract.lateness.total_seconds() * 1000)


def _ms(at: Any) -> Any:
    return None if at is None else round(at.timestamp() * 1000)


def _compared(what: str, found: Mapping[Any, int], wanted: Mapping[Any, int]) -> Iterable[str]:
    """What is missing and what is too much."""
    less, more = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
    if not less and not more:
        return []
    shown = {"missing": list(less.items())[:3], "too much": list(more.items())[:3]}
    return [f"{what}: {sum(less.values())} missing, {sum(more.values())} too much: {shown}"]
