"""The packed state of one entity: bytes that depend on a set of records only, never on how they arrived.

Big-endian. Header of 32 bytes: u16 version | u16 n | u48 horizon | u48 born | 16 reserved. `horizon` is the largest
time of a record that was ever evicted or refused (0: none), `born` the smallest account creation seen (0: unknown).
Then n records of 24 bytes by (time, hash): u48 ms | u48 hash of the id | 12 bytes of content. The same time and hash
with other content: the larger content stays, so that order never decides.

Content of an event: i32 cents | u32 | u32 (hashes of the two fields that the entity's records hold, 0 for null).
Content of a label: u48 hash of the transaction's id | u48 time of the transaction, its top bit set for fraud.
Eviction counts from the newest record's time, never from a clock.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 1
HEADER = 32
RECORD = 24
EMPTY = struct.pack(">HH", VERSION, 0) + bytes(28)
FRAUD_BIT = 1 << 47
# Amounts are signed 32-bit cents: R$ 21.4 million. The contract's own rule refuses more than 20 million.
MAX_CENTS = 2**31 - 1

KEY = [("ms_hi", ">u2"), ("ms_lo", ">u4"), ("id_hi", ">u2"), ("id_lo", ">u4")]
EVENT = np.dtype([*KEY, ("cents", ">i4"), ("a", ">u4"), ("b", ">u4")])
LABEL = np.dtype([*KEY, ("of_hi", ">u2"), ("of_lo", ">u4"), ("at_hi", ">u2"), ("at_lo", ">u4")])
Ints = NDArray[np.int64]


def hash48(text: str) -> int:
    """First 48 bits of SHA-256: what a record keeps of an event id. Spark's and DataFusion's sha2 give the same."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def hash32(text: str | None) -> int:
    """First 32 bits of SHA-256, 0 for null: enough to count distinct values of one entity."""
    return 0 if text is None else int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def pack_event(ms: int, event: int, cents: int, a: int, b: int) -> bytes:
    """One event's record; `event` is its hash48. struct.error when a number does not fit."""
    return ms.to_bytes(6, "big") + event.to_bytes(6, "big") + struct.pack(">iII", cents, a, b)


def pack_label(known_ms: int, label: int, transaction: int, at_ms: int, is_fraud: bool) -> bytes:
    """One label's record: since when it is known, its own hash48, and what it says about which transaction."""
    at = at_ms | FRAUD_BIT if is_fraud else at_ms
    return b"".join(number.to_bytes(6, "big") for number in (known_ms, label, transaction, at))


@dataclass(frozen=True)
class Header:
    """The numbers in front of the records. Times are epoch milliseconds."""

    version: int
    n: int
    horizon: int
    born: int


def header(state: bytes) -> Header:
    """The header of a state; the empty state for no bytes."""
    if len(state) < HEADER:
        return Header(VERSION, 0, 0, 0)
    version, n = struct.unpack_from(">HH", state)
    return Header(version, n, int.from_bytes(state[4:10], "big"), int.from_bytes(state[10:16], "big"))


def records(state: bytes) -> list[bytes]:
    """The state's records, 24 bytes each, in order."""
    return [state[i : i + RECORD] for i in range(HEADER, len(state), RECORD)]


def pack(items: Iterable[bytes], *, horizon: int = 0, born: int = 0) -> bytes:
    """A state from records that are already sorted and unique."""
    body = b"".join(items)
    head = struct.pack(">HH", VERSION, len(body) // RECORD) + horizon.to_bytes(6, "big") + born.to_bytes(6, "big")
    return head + bytes(16) + body


def rebuild(items: Iterable[bytes], *, keep_ms: int, cap: int, born: int = 0) -> bytes:
    """The reference: what the store must hold after these records, in whatever order they were inserted."""
    best: dict[bytes, bytes] = {}
    for item in items:
        key = item[:12]
        if key not in best or item > best[key]:
            best[key] = item
    ordered = [best[key] for key in sorted(best)]
    if not ordered:
        return pack([], born=born)
    newest = _ms(ordered[-1])
    fresh = [item for item in ordered if _ms(item) >= newest - keep_ms]
    kept = fresh[-cap:]
    gone = len(ordered) - len(kept)
    return pack(kept, horizon=_ms(ordered[gone - 1]) if gone else 0, born=born)


def events(state: bytes) -> NDArray[np.void]:
    """The records as a structured array (dtype EVENT), without copying."""
    return np.frombuffer(state, dtype=EVENT, offset=HEADER) if len(state) > HEADER else np.empty(0, dtype=EVENT)


def labels(state: bytes) -> NDArray[np.void]:
    """The records of a label state as a structured array (dtype LABEL)."""
    return np.frombuffer(state, dtype=LABEL, offset=HEADER) if len(state) > HEADER else np.empty(0, dtype=LABEL)


def u48(array: NDArray[np.void], name: str) -> Ints:
    """A 48-bit column of a structured array as int64."""
    high: Ints = array[f"{name}_hi"].astype(np.int64)
    return (high << 32) | array[f"{name}_lo"].astype(np.int64)


def digest(state: bytes) -> str:
    """Hash of a state's bytes, to compare two of them in a report."""
    return hashlib.sha256(state).hexdigest()[:16]


def _ms(record: bytes) -> int:
    return int.from_bytes(record[:6], "big")
