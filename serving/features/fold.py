"""Bytes and an instant to numbers. Pure: the same state and `as_of` give the same floats everywhere.

Every value comes from integers by at most one division, so it is the same whether it is computed here, for one
transaction, or in columns for a training set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from serving.features.spec import DAY_MS, Entity, FeatureSpec
from serving.features.state import EMPTY, FRAUD_BIT, HEADER, RECORD, VERSION, Ints, events, header, labels, u48

UNKNOWN = -1.0
"""Value of a duration that nobody knows: no earlier event, no account."""


@dataclass(frozen=True)
class Folded:
    """One entity at one instant.

    `values` fit `Entity.names`. `chosen` and `judged` are the bytes of the records and labels that were folded: what a
    replay has to find again. `total` and `count` are those of the longest window.
    """

    values: tuple[float, ...]
    chosen: bytes
    judged: bytes
    born: int
    exact: bool
    total: int
    count: int
    last_ms: int | None

    @property
    def events(self) -> list[int]:
        """hash48 of the folded events, in order of time."""
        return _ids(self.chosen)

    @property
    def labels(self) -> list[int]:
        """hash48 of the folded labels, in the order they became known."""
        return _ids(self.judged)

    def digest(self, entity: str) -> str:
        """Hash of everything that was folded: 32 hexadecimal digits."""
        head = f"{entity}|{VERSION}|{self.born}|{int(self.exact)}|{len(self.chosen)}|".encode()
        return hashlib.sha256(head + self.chosen + self.judged).hexdigest()[:32]


def fold(entity: Entity, state: bytes, label_state: bytes, as_of: int, own: int | None = None) -> Folded:
    """Fold a state over the windows that end at `as_of` (epoch ms, included).

    `own` is the hash48 of the event being judged: it counts in windows and is no "last event" of itself.
    """
    head, rows = header(state), events(state)
    times = u48(rows, "ms")
    end = int(np.searchsorted(times, as_of, side="right"))
    starts = [int(s) for s in np.searchsorted(times, [as_of - w.ms for w in entity.windows], side="right")]
    first = int(np.searchsorted(times, as_of - entity.lookback_ms, side="right"))
    cents = rows["cents"].astype(np.int64)
    judged = _labels(entity, label_state, as_of)
    frauds = _frauds(judged)
    values: list[float] = []
    total = count = 0
    for window, start in zip(entity.windows, starts, strict=True):
        count = max(end - start, 0)
        total = int(cents[start:end].sum())
        known = {"count": float(count), "sum": total / 100, "mean": total / (100 * count) if count else 0.0}
        values += [known[a] for a in entity.aggregates]
        for _, slot in entity.distinct:
            held = rows["ab"[slot]][start:end]
            values.append(float(len(set(held.tolist()) - {0})))
        if entity.risk_delay_ms:
            values += _risk(entity, window.ms, times, rows, frauds, as_of)
    if entity.since_last:
        values.append(_since(times, rows, first, end, as_of, own))
    if entity.account_age:
        values.append((as_of - head.born) / DAY_MS if 0 < head.born <= as_of else UNKNOWN)
    exact = head.horizon <= as_of - entity.lookback_ms or head.horizon == 0
    values.append(float(exact))
    return Folded(
        values=tuple(values),
        chosen=state[HEADER + RECORD * first : HEADER + RECORD * end],
        judged=judged,
        born=head.born if entity.account_age else 0,
        exact=exact,
        total=total,
        count=count,
        last_ms=int(times[end - 1]) if end else None,
    )


def vector(spec: FeatureSpec, cents: int, as_of: int, folded: Mapping[str, Folded]) -> tuple[float, ...]:
    """All features in the order of `spec.names`; an entity that is not there counts as never seen."""
    customer = folded.get("customer")
    hour = as_of // 3_600_000 % 24
    request = {
        "amount": cents / 100,
        "hour": float(hour),
        "night": float(hour <= 6),
        "weekend": float((as_of // DAY_MS + 3) % 7 >= 5),  # day 0 of the epoch was a Thursday
        "amount_to_mean": cents * customer.count / customer.total if customer and customer.total else 1.0,
    }
    values = [request[name] for name in spec.request]
    for entity in spec.entities:
        values += (folded.get(entity.name) or fold(entity, EMPTY, b"", as_of)).values
    return tuple(values)


def _since(times: Ints, rows: np.ndarray, first: int, end: int, as_of: int, own: int | None) -> float:
    """Seconds to the latest other event in [first, end), the events that a replay finds again.

    What lies before may still be in the state or not, so it must not show.
    """
    for i in range(end - 1, first - 1, -1):
        if own is None or (int(rows["id_hi"][i]) << 32 | int(rows["id_lo"][i])) != own:
            return (as_of - int(times[i])) / 1000
    return UNKNOWN


def _labels(entity: Entity, label_state: bytes, as_of: int) -> bytes:
    """Records of the labels that are known by now and speak of a transaction that the delayed windows hold."""
    if not entity.risk_delay_ms or len(label_state) <= HEADER:
        return b""
    rows = labels(label_state)
    at = u48(rows, "at") & (FRAUD_BIT - 1)
    wanted = (u48(rows, "ms") <= as_of) & (at > as_of - entity.lookback_ms) & (at <= as_of - entity.risk_delay_ms)
    places = [HEADER + RECORD * i for i in np.flatnonzero(wanted).tolist()]
    return b"".join(label_state[p : p + RECORD] for p in places)


def _frauds(judged: bytes) -> Ints:
    """hash48 of the transactions whose latest known label says fraud."""
    verdict: dict[int, bool] = {}
    for i in range(0, len(judged), RECORD):
        transaction = int.from_bytes(judged[i + 12 : i + 18], "big")
        verdict[transaction] = bool(judged[i + 18] & 0x80)
    return np.array([t for t, fraud in verdict.items() if fraud], dtype=np.int64)


def _risk(entity: Entity, width: int, times: Ints, rows: np.ndarray, frauds: Ints, as_of: int) -> list[float]:
    """How many events the delayed window holds, and which share of them is known to be fraud."""
    until = as_of - entity.risk_delay_ms
    start, end = np.searchsorted(times, [until - width, until], side="right")
    n = int(end - start)
    if not n or not len(frauds):
        return [float(n), 0.0]
    return [float(n), int(np.isin(u48(rows[start:end], "id"), frauds).sum()) / n]


def _ids(records: bytes) -> list[int]:
    return [int.from_bytes(records[i + 6 : i + 12], "big") for i in range(0, len(records), RECORD)]
