"""The vault: identifier → random ref, ref and key group → key. The only place that knows who is who.

Everything new of a publish batch is written in one immediate transaction, committed durably before the call returns,
so no event can leave with a ref or a key that a crash would lose. Known people cost no transaction: refs and keys stay
in memory, and a look at the file's epoch, at most `epoch_check_s` old, drops them all after an erasure.
"""

import hmac
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from caudal.settings import Settings
from privacy import keys, store
from privacy.masks import CLASSES
from privacy.normalise import normalise
from privacy.settings import PrivacySettings
from privacy.tenants import TenantKeys

_IV = 12  # bytes


class Need(NamedTuple):
    """What one event needs of the vault.

    `idx`: identifiers of one person (all lead to one ref). `ref`: a ref that the event brought along. With neither, and
    with groups, keys are made for this one event. `groups`: the key groups its fields need.
    """

    tenant: str
    kind: str = ""
    idx: tuple[bytes, ...] = ()
    ref: str | None = None
    groups: tuple[str, ...] = ()


class Admitted(NamedTuple):
    """`name` is the ref, the single-use key's name, or empty; an erased person has no keys."""

    name: str
    keys: dict[str, AESGCM]
    erased: bool


@dataclass(frozen=True)
class _Subject:
    ref: str
    born: int
    erased: bool


@dataclass
class _Minted:
    """What one transaction found or made; it enters the caches only when it is committed."""

    subjects: dict[bytes, _Subject]
    names: list[str] = field(default_factory=list)
    keys: dict[tuple[str, str], AESGCM] = field(default_factory=dict)


class Vault:
    """One open vault; safe for threads. Raises VaultBusy when another process writes for longer than `busy_s`."""

    def __init__(self, db: sqlite3.Connection, provider: keys.KeyProvider, settings: PrivacySettings) -> None:
        self._db, self._settings = db, settings
        self._tenants = TenantKeys(db, provider)
        self._lock = threading.RLock()
        self._subjects: dict[bytes, _Subject] = {}
        self._keys: dict[tuple[str, str], AESGCM] = {}
        self._uses: set[tuple[str, str]] = set()
        self._epoch, self._last_link, self._checked = store.epoch(db), store.last_link(db), 0.0

    @classmethod
    def open(cls, settings: Settings) -> "Vault":
        """The vault of this install; made when there is none. Raises KeysetUnusable."""
        privacy = settings.section("privacy", PrivacySettings)
        return cls(store.connect(privacy.vault_file(settings), privacy.busy_s), keys.make(settings), privacy)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def index_key(self, tenant: str) -> bytes:
        """The tenant's index key, for `index`."""
        with self._lock:
            return self._tenants.index(tenant)

    def lookup(self, tenant: str, kind: str, name: str, value: str) -> str | None:
        """The ref of an identifier that is known and live, without making one.

        `kind` is the subject's kind or the ref's name; `name` the pii class of the identifier, or else its field.
        """
        canonical = normalise(name if name in CLASSES else None, value)
        if not canonical:
            return None
        idx = index(self.index_key(tenant), kind, name, canonical)
        with self._lock:
            self._refresh()
            if idx not in self._subjects:
                self._subjects |= self._read([idx])
            found = self._subjects.get(idx)
        return found.ref if found and not found.erased else None

    def admit(self, needs: Sequence[Need], uses: Sequence[tuple[int, int]] = ()) -> list[Admitted]:
        """Refs and keys for a batch, made where they are missing, durable when this returns.

        `uses` pairs positions in `needs`: a further ref (card, device …), and the subject it was seen with.
        """
        with self._lock:
            self._refresh()
            admitted = self._remembered(needs, uses)
            if admitted is None:
                self._load(needs)
                admitted = self._remembered(needs, uses)
            if admitted is None:
                admitted = self._mint(needs, uses)
                self._shrink()
            return admitted

    def key(self, name: str, group: str) -> AESGCM | None:
        """The key of a ref (or single-use name) and group; None when it was destroyed or never made."""
        with self._lock:
            self._refresh()
            if (name, group) not in self._keys:
                self._keys |= self._unwrap([name])
            return self._keys.get((name, group))

    def destroy(self, ref: str) -> int:
        """Destroy a person's keys: every token, wherever it lies, is unreadable at once. Returns keys destroyed."""
        with self._lock:
            with store.write(self._db):
                gone = store.destroy(self._db, ref)
            # The log may still hold the keys' pages; truncating it is part of destroying them.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._checked = 0.0
            return gone

    def _remembered(self, needs: Sequence[Need], uses: Sequence[tuple[int, int]]) -> list[Admitted] | None:
        """The answer from memory alone, or None when anything must be read or written."""
        out: list[Admitted] = []
        for need in needs:
            name, erased = need.ref or "", False
            if need.idx:
                first = self._subjects.get(need.idx[0])
                if first is None:
                    return None
                for idx in need.idx[1:]:
                    other = self._subjects.get(idx)
                    if other is None or other.ref != first.ref:
                        return None
                name, erased = first.ref, first.erased
            found: dict[str, AESGCM] = {}
            for group in () if erased else need.groups:
                key = self._keys.get((name, group))
                if key is None:
                    return None
                found[group] = key
            out.append(Admitted(name, found, erased))
        if any((out[a].name, out[b].name) not in self._uses for a, b in uses):
            return None
        return out

    def _load(self, needs: Sequence[Need]) -> None:
        """Read into memory what the file has of these needs."""
        self._subjects |= self._read([idx for need in needs for idx in need.idx if idx not in self._subjects])
        names = [self._subjects[n.idx[0]].ref for n in needs if n.idx and n.groups and n.idx[0] in self._subjects]
        self._keys |= self._unwrap([*names, *(need.ref for need in needs if need.ref and need.groups)])

    def _mint(self, needs: Sequence[Need], uses: Sequence[tuple[int, int]]) -> list[Admitted]:
        """Write what is missing, in one transaction that first reads again what other processes wrote."""
        for tenant in {need.tenant for need in needs if need.groups}:
            self._tenants.latest(tenant)  # before the transaction: the provider may be a network away
        with store.write(self._db):
            minted = _Minted(self._read([idx for need in needs for idx in need.idx]))
            for need in needs:
                if need.idx:
                    self._assign(need, minted.subjects)
            minted.names = [_name(need, minted.subjects) for need in needs]
            dead = {s.ref for s in minted.subjects.values() if s.erased}
            dead |= store.erased(self._db, [need.ref for need in needs if need.ref])
            self._make_keys(needs, minted, dead)
            pairs = {(minted.names[a], minted.names[b]) for a, b in uses}
            store.add_uses(self._db, sorted(pairs - self._uses))
        # Only what is committed may be remembered; a single-use key never is.
        single = {name for need, name in zip(needs, minted.names, strict=True) if not need.idx and not need.ref}
        self._subjects |= minted.subjects
        self._keys |= {pair: key for pair, key in minted.keys.items() if pair[0] not in single}
        self._uses |= pairs
        return [
            Admitted(name, {} if name in dead else {g: minted.keys[name, g] for g in need.groups}, name in dead)
            for need, name in zip(needs, minted.names, strict=True)
        ]

    def _assign(self, need: Need, known: dict[bytes, _Subject]) -> None:
        """Lead all identifiers of one person to one ref: the oldest they have, or a new one."""
        met = {s.ref: s for idx in need.idx if (s := known.get(idx))}
        if len({s.erased for s in met.values()}) > 1:
            return  # an erased and a live person share an identifier: this event is suppressed, nobody is joined
        winner = min(met.values(), key=lambda s: (s.born, s.ref), default=None)
        winner = winner or _Subject(secrets.token_hex(16), time.time_ns(), False)
        for loser in met.keys() - {winner.ref}:
            store.join(self._db, need.tenant, loser, winner.ref, winner.born)
            known.update((idx, winner) for idx, subject in list(known.items()) if subject.ref == loser)
            for idx in [idx for idx, subject in self._subjects.items() if subject.ref == loser]:
                del self._subjects[idx]
        new = [idx for idx in dict.fromkeys(need.idx) if idx not in known]
        state = "erased" if winner.erased else "live"
        store.add_subjects(self._db, [(i, need.tenant, need.kind, winner.ref, winner.born, state) for i in new])
        known.update((idx, winner) for idx in new)

    def _make_keys(self, needs: Sequence[Need], minted: _Minted, dead: set[str]) -> None:
        """The keys of all needs, made and stored where missing; an erased person never gets a new one."""
        wanted = {
            (name, group): need.tenant
            for need, name in zip(needs, minted.names, strict=True)
            for group in need.groups
            if name not in dead
        }
        minted.keys |= {pair: key for pair in wanted if (key := self._keys.get(pair))}
        minted.keys |= self._unwrap([name for name, group in wanted if (name, group) not in minted.keys])
        rows = []
        for (name, group), tenant in wanted.items():
            if (name, group) not in minted.keys:
                secret, iv, epoch = secrets.token_bytes(32), os.urandom(_IV), self._tenants.latest(tenant)
                blob = self._tenants.wrapper(tenant, epoch).encrypt(iv, secret, f"{name}|{group}".encode())
                rows.append((name, group, tenant, epoch, iv + blob))
                minted.keys[name, group] = AESGCM(secret)
        store.add_keys(self._db, rows)

    def _read(self, idx: Iterable[bytes]) -> dict[bytes, _Subject]:
        rows = store.subjects(self._db, list(dict.fromkeys(idx)))
        return {found: _Subject(ref, born, state == "erased") for found, ref, born, state in rows}

    def _unwrap(self, names: Iterable[str]) -> dict[tuple[str, str], AESGCM]:
        found = {}
        for name, group, tenant, epoch, blob in store.wrapped_keys(self._db, list(dict.fromkeys(names))):
            wrapper = self._tenants.wrapper(tenant, epoch)
            secret = wrapper.decrypt(blob[:_IV], blob[_IV:], f"{name}|{group}".encode())
            found[name, group] = AESGCM(secret)
        return found

    def _refresh(self) -> None:
        """Forget everything after an erasure; follow links that other processes made."""
        now = time.monotonic()
        if self._checked and now - self._checked < self._settings.epoch_check_s:
            return
        self._checked = now
        epoch, links = store.epoch(self._db), store.links_after(self._db, self._last_link)
        if epoch != self._epoch:
            self._epoch = epoch
            for cache in (self._subjects, self._keys, self._uses, self._tenants):
                cache.forget() if isinstance(cache, TenantKeys) else cache.clear()
        if links:
            self._last_link = links[-1][0]
            losers = {loser for _, loser in links}
            for idx in [idx for idx, subject in self._subjects.items() if subject.ref in losers]:
                del self._subjects[idx]

    def _shrink(self) -> None:
        limit = self._settings.cache_entries
        # Oldest first, a quarter at a time: dictionaries keep the order of insertion.
        if len(self._subjects) > limit:
            for idx in list(self._subjects)[: limit // 4 + 1]:
                del self._subjects[idx]
        if len(self._keys) > limit:
            for pair in list(self._keys)[: limit // 4 + 1]:
                del self._keys[pair]
        if len(self._uses) > limit:
            self._uses.clear()


def index(key: bytes, kind: str, name: str, canonical: str) -> bytes:
    """The vault's index of a normalised identifier: HMAC-SHA256 under the tenant's index key. It never leaves it."""
    return hmac.digest(key, f"{kind}|{name}|{canonical}".encode(), "sha256")


def _name(need: Need, known: dict[bytes, _Subject]) -> str:
    if need.idx:
        met = [known[idx] for idx in need.idx if idx in known]
        return next((s for s in met if s.erased), met[0]).ref
    return need.ref or (secrets.token_hex(16) if need.groups else "")
