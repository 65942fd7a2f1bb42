"""Invariant 4: the online state equals the state rebuilt from silver and quarantined conflicts, byte by byte.

A consistent cut on a running install: note how far each partition is in the store, read the states, then wait until
silver holds what they hold. What silver has beyond the noted positions may or may not be in a state; everything before
must be. What a state holds and silver does not, must at least lie in Kafka behind silver's end.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from caudal.lake import Lake
from caudal.proof import Check
from caudal.settings import Settings
from serving.errors import StoreAway
from serving.features import facts, state, tail
from serving.features import spec as specs
from serving.features.facts import Account
from serving.features.silver import AccountRow, LabelRow, Row, Silver
from serving.features.spec import Entity, FeatureSpec
from serving.features.store import Store
from serving.settings import ServingSettings

NAME = "one truth for features"
INVARIANT = 4
# Silver is looked at again after this many seconds while it still has to catch up.
LOOK_S = 1.0
SHOWN = 20


@dataclass(frozen=True)
class Sampled:
    """One entity as the store holds it."""

    entity: Entity
    tenant: str
    ref: str
    events: bytes
    labels: bytes
    gone: bool

    @property
    def shown(self) -> str:
        return f"{self.entity.name} {self.ref[:12]}"


@dataclass(frozen=True)
class Truth:
    """What silver and quarantine say about the sampled entities."""

    rows: list[Row]
    labels: list[LabelRow]
    accounts: list[AccountRow]
    conflicts: list[Row]


@dataclass
class Compared:
    """What a comparison found: `ahead` are hashes of records that only the store has, by their contract and entity;
    `openings` those of accounts, by entity."""

    findings: list[str] = field(default_factory=list)
    ahead: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    openings: dict[str, Account] = field(default_factory=dict)


def checks(settings: Settings) -> list[Check]:
    """Invariant 4 over a sample of entities. Never raises for a part that is away: then it is not proven."""
    own = settings.section("serving", ServingSettings)
    store = Store(settings.redis.url.get_secret_value(), own.store_timeout_s)
    try:
        return [_check(settings, own, store)]
    except StoreAway as error:
        return [Check(INVARIANT, NAME, False, 0, f"the feature store: {error.what}")]
    finally:
        store.close()


def _check(settings: Settings, own: ServingSettings, store: Store) -> Check:
    spec, lake = specs.load(own.features), Lake.open(settings)
    positions = store.positions()
    sample = _sample(store, Silver(lake, spec), spec, own.verify_entities)
    if not sample:
        return Check(INVARIANT, NAME, False, 0, "neither the store nor silver holds an entity")
    deadline = time.monotonic() + own.verify_wait_s
    while True:
        found = compare(spec, sample, _truth(Silver(lake, spec), spec, sample), positions)
        if not (found.findings or found.ahead or found.openings) or time.monotonic() > deadline:
            break
        time.sleep(LOOK_S)
    opened = tail.openings(settings, spec.accounts, Silver(lake, spec)) if found.openings else set()
    behind = {source: tail.hashes(settings, source, Silver(lake, spec)) for source, _ in found.ahead}
    findings = list(found.findings)
    not_judged: set[int] = set()
    for (source, shown), hashes in found.ahead.items():
        in_kafka = behind[source]
        if in_kafka is None:
            not_judged |= hashes
        elif lost := hashes - in_kafka:
            findings.append(f"{shown}: {len(lost)} records of {source} that neither silver nor Kafka has")
    if opened is not None:
        lost_ones = (shown for shown, opening in found.openings.items() if opening not in opened)
        findings += [f"{shown}: born when neither silver nor Kafka says so" for shown in lost_ones]
    examined = sum(state.header(s.events).n + state.header(s.labels).n for s in sample)
    detail = f"{len(sample)} entities, {examined} events and labels"
    unasked = len(not_judged) + (len(found.openings) if opened is None else 0)
    if unasked:
        detail += f"; {unasked} records not judged: no broker to ask"
    return Check(INVARIANT, NAME, not findings, len(sample), detail, tuple(findings[:SHOWN]))


def compare(spec: FeatureSpec, sample: Iterable[Sampled], truth: Truth, positions: Mapping[str, int]) -> Compared:
    """Each sampled state against its rebuild. Pure."""
    out = Compared()
    events: dict[tuple[str, str, str], list[Row]] = {}
    for row in [*truth.rows, *truth.conflicts]:
        for entity, ref, _ in facts.place(row.tx, spec):
            events.setdefault((entity.name, row.tx.tenant, ref), []).append(row)
    verdicts: dict[tuple[str, str], list[LabelRow]] = {}
    for item in truth.labels:
        verdicts.setdefault((item.label.tenant, item.label.merchant_id), []).append(item)
    opened: dict[tuple[str, str], list[AccountRow]] = {}
    for account in truth.accounts:
        opened.setdefault((account.tenant, account.subject_ref), []).append(account)
    for one in sample:
        if one.gone:
            if one.events != state.EMPTY or one.labels:
                out.findings.append(f"{one.shown}: erased, and still in the store")
            continue
        rows = events.get((one.entity.name, one.tenant, one.ref), [])
        born = _born(spec, one, opened.get((one.tenant, one.ref), []), positions, out)
        _compare_events(spec, one, rows, born, positions, out)
        if one.entity.risk_delay_ms:
            _compare_labels(spec, one, verdicts.get((one.tenant, one.ref), []), positions, out)
    return out


def _born(
    spec: FeatureSpec, one: Sampled, accounts: list[AccountRow], positions: Mapping[str, int], out: Compared
) -> int:
    """The account creation that the state must have; accounts beyond the store's position may be in it or not, and an
    earlier one than silver has may be on its way there."""
    if not one.entity.account_age:
        return 0
    held = state.header(one.events).born
    met = [a.opened_ms for a in accounts if a.offset < positions.get(f"{spec.accounts}:{a.partition}", 0)]
    every = min((a.opened_ms for a in accounts), default=0)
    if held in (every, min(met, default=0)):
        return held
    if held and (not every or held < every):
        out.openings[one.shown] = Account(one.tenant, one.ref, held)
        return held
    return every


def _compare_events(
    spec: FeatureSpec, one: Sampled, rows: list[Row], born: int, positions: Mapping[str, int], out: Compared
) -> None:
    held = {item[:12]: item for item in state.records(one.events)}
    wanted: list[bytes] = []
    for row in rows:
        record = next(r for e, ref, r in facts.place(row.tx, spec) if e.name == one.entity.name and ref == one.ref)
        if row.suppressed and record[:12] in held:
            # The erased person's ref is gone from silver; time, event and amount are still compared.
            record = record[:16] + held[record[:12]][16:]
        if row.offset < positions.get(f"{spec.source}:{row.partition}", 0) or record[:12] in held:
            wanted.append(record)
    wanted += _ahead(spec.source, one, held, wanted, out)
    expected = state.rebuild(wanted, keep_ms=one.entity.keep_ms, cap=one.entity.cap, born=born)
    if expected != one.events:
        out.findings.append(_difference(one.shown, "events", one.events, expected))


def _compare_labels(
    spec: FeatureSpec, one: Sampled, rows: list[LabelRow], positions: Mapping[str, int], out: Compared
) -> None:
    held = {item[:12]: item for item in state.records(one.labels)}
    wanted: list[bytes] = []
    for row in rows:
        record = facts.place_label(row.label, spec)[0][2]
        if row.offset < positions.get(f"{spec.labels}:{row.partition}", 0) or record[:12] in held:
            wanted.append(record)
    wanted += _ahead(spec.labels, one, held, wanted, out)
    expected = state.rebuild(wanted, keep_ms=one.entity.keep_ms, cap=one.entity.cap) if wanted else b""
    if expected != one.labels:
        out.findings.append(_difference(one.shown, "labels", one.labels, expected))


def _ahead(
    source: str, one: Sampled, held: Mapping[bytes, bytes], wanted: Iterable[bytes], out: Compared
) -> list[bytes]:
    """The records of a state that silver does not have; Kafka is asked for them by their event's hash."""
    known = {item[:12] for item in wanted}
    only_here = {key: item for key, item in held.items() if key not in known}
    if only_here:
        out.ahead[(source, one.shown)] = {int.from_bytes(key[6:], "big") for key in only_here}
    return list(only_here.values())


def _difference(shown: str, what: str, have: bytes, want: bytes) -> str:
    """Where two states part, in numbers only."""
    mine, theirs = state.header(have), state.header(want)
    here, there = set(state.records(have)), set(state.records(want))
    parts = [f"{len(there - here)} {what} missing or changed, {len(here - there)} not in silver"]
    parts += [
        f"{n} is {_than(getattr(mine, n), getattr(theirs, n))}"
        for n in ("horizon", "born")
        if getattr(mine, n) != getattr(theirs, n)
    ]
    return f"{shown}: {', '.join(parts)} (digest {state.digest(have)}, silver {state.digest(want)})"


def _than(mine: int, theirs: int) -> str:
    """How one time (epoch ms, 0: unknown) stands to another, without telling either."""
    if not mine or not theirs:
        return "known only here" if mine else "known only to silver"
    return f"{abs(mine - theirs)} ms {'later' if mine > theirs else 'earlier'} than in silver"


def _sample(store: Store, silver: Silver, spec: FeatureSpec, n: int) -> list[Sampled]:
    """Entities of the store and of silver, so that both a wrong state and a missing one can be met."""
    there: dict[str, list[tuple[str, str]]] = {e.name: [] for e in spec.entities}
    for tenant, name, ref in store.states():
        if name in there:
            there[name].append((tenant, ref))
    out = []
    for entity in spec.entities:
        of_store = random.sample(there[entity.name], min(n, len(there[entity.name])))
        sql = f"select distinct tenant_id, {entity.ref} as ref from t where {entity.ref} is not null limit {20 * n}"
        rows = [(r["tenant_id"], r["ref"]) for r in silver.query("silver", spec.source.replace(".", "_"), sql)]
        of_silver = random.sample(rows, min(n // 4 + 1, len(rows)))
        for tenant, ref in dict.fromkeys([*of_store, *of_silver]):
            events, labels = store.read(entity, tenant, ref)
            out.append(Sampled(entity, tenant, ref, events, labels, store.is_gone(tenant, ref)))
    return out


def _truth(silver: Silver, spec: FeatureSpec, sample: list[Sampled]) -> Truth:
    refs: dict[str, set[str]] = {}
    for one in sample:
        refs.setdefault(one.entity.ref, set()).add(one.ref)
    risky = {one.ref for one in sample if one.entity.risk_delay_ms}
    aged = {one.ref for one in sample if one.entity.account_age}
    return Truth(silver.payments(refs), silver.labels(risky), silver.accounts(aged), silver.conflicts())
