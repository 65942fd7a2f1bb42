"""The same features in columns: every payment of a history, at its own instant, with what was known then.

Agrees with `serving.features.fold` to the last bit (integers, then one division). Caps of the online state are not
applied: an entity above its cap is marked inexact online.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serving.errors import NoHistory
from serving.features.fold import UNKNOWN
from serving.features.spec import DAY_MS, Entity, FeatureSpec
from serving.features.state import hash32

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
# A rectangle of payments by payments is counted at once; 4 million booleans are 4 MB.
CELLS = 4_000_000
# The file writes 0 for a fraud that nobody ever reports.
NEVER = 2**62


@dataclass(frozen=True)
class History:
    """Payments as columns, in order of time. `known_ms` is when a fraud became known.

    `fields` holds, per field name, integer codes that are equal exactly when tenant and value are, and `held` their
    32-bit hashes as the online records hold them.
    """

    cents: Ints
    ms: Ints
    opened_ms: Ints
    fraud: NDArray[np.bool_]
    known_ms: Ints
    fields: dict[str, Ints]
    held: dict[str, Ints]

    def __len__(self) -> int:
        return len(self.ms)


def read(path: Path, label_delay_ms: int) -> History:
    """The history that the simulator wrote. A fraud without a known time counts as known after the label delay."""
    if not path.is_file():
        raise NoHistory("there is no history to train on", where=str(path), fix="start the simulators first")
    with np.load(path, allow_pickle=False) as file:
        columns = {name: file[name] for name in file.files}
    ms = columns["occurred_ms"].astype(np.int64)
    order = np.argsort(ms, kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    ms = ms[order]
    known = columns["labelled_ms"].astype(np.int64) if "labelled_ms" in columns else ms + label_delay_ms
    known[known == 0] = NEVER
    tenants = columns["tenant_id"].astype(str)
    fields, held = {}, {}
    for field, column in (
        ("subject_ref", "customer_index"),
        ("merchant_id", "merchant_id"),
        ("device_ref", "device_index"),
    ):
        if column in columns:
            fields[field], held[field] = _codes(tenants, columns[column].astype(str))
    return History(
        cents=columns["amount_cents"].astype(np.int64),
        ms=ms,
        opened_ms=columns["opened_ms"].astype(np.int64),
        fraud=columns["is_fraud"].astype(bool),
        known_ms=known,
        fields=fields,
        held=held,
    )


def columns(spec: FeatureSpec, history: History) -> dict[str, Floats]:
    """Feature name → one value per payment. Entities and distinct counts whose field the history lacks are left out."""
    hour = history.ms // 3_600_000 % 24
    out: dict[str, Floats] = {
        "amount": history.cents / 100,
        "hour": hour.astype(np.float64),
        "night": (hour <= 6).astype(np.float64),
        "weekend": ((history.ms // DAY_MS + 3) % 7 >= 5).astype(np.float64),
    }
    for entity in spec.entities:
        if entity.ref in history.fields:
            out |= _entity(entity, history)
    if "customer.sum_30d" in out and "amount_to_mean" in spec.request:
        totals, counts = _longest(spec.entity("customer"), history)
        with np.errstate(divide="ignore", invalid="ignore"):
            out["amount_to_mean"] = np.where(totals > 0, history.cents * counts / totals, 1.0)
    return out


def _longest(entity: Entity, history: History) -> tuple[Ints, Ints]:
    """Cents and number of payments in the entity's longest window, at each payment."""
    totals, counts = np.zeros(len(history), np.int64), np.zeros(len(history), np.int64)
    for rows in _groups(history.fields[entity.ref]):
        t, cum = history.ms[rows], np.concatenate(([0], np.cumsum(history.cents[rows])))
        end = np.searchsorted(t, t, side="right")
        start = np.searchsorted(t, t - entity.windows[-1].ms, side="right")
        totals[rows], counts[rows] = cum[end] - cum[start], end - start
    return totals, counts


def _entity(entity: Entity, history: History) -> dict[str, Floats]:
    held = {plural: history.held.get(entity.holds[slot]) for plural, slot in entity.distinct}
    names = [n for n in entity.names if not n.endswith(".exact")]
    missing = {f"{entity.name}.distinct_{p}_{w.label}" for p, v in held.items() if v is None for w in entity.windows}
    out = {name: np.zeros(len(history)) for name in names if name not in missing}
    for rows in _groups(history.fields[entity.ref]):
        for name, values in _group(entity, history, rows, held).items():
            out[name][rows] = values
    return out


def _group(entity: Entity, history: History, rows: Ints, held: dict[str, Ints | None]) -> dict[str, Floats]:
    t = history.ms[rows]
    cum = np.concatenate(([0], np.cumsum(history.cents[rows])))
    end = np.searchsorted(t, t, side="right")
    out: dict[str, Floats] = {}
    for window in entity.windows:
        start = np.searchsorted(t, t - window.ms, side="right")
        n, total = end - start, cum[end] - cum[start]
        values = {"count": n.astype(np.float64), "sum": total / 100, "mean": total / (100 * n)}
        out |= {f"{entity.name}.{a}_{window.label}": values[a] for a in entity.aggregates}
        for plural, codes in held.items():
            if codes is not None:
                out[f"{entity.name}.distinct_{plural}_{window.label}"] = _distinct(codes[rows], start, end)
        if entity.risk_delay_ms:
            until = t - entity.risk_delay_ms
            first, last = (np.searchsorted(t, x, side="right") for x in (until - window.ms, until))
            known = last - first
            frauds = _known_frauds(history.fraud[rows], history.known_ms[rows], t, first, last)
            out[f"{entity.name}.known_count_{window.label}"] = known.astype(np.float64)
            out[f"{entity.name}.risk_{window.label}"] = frauds / np.maximum(known, 1)
    if entity.since_last:
        first_now = np.searchsorted(t, t, side="left")
        before = np.where(first_now > 0, t - t[first_now - 1], entity.lookback_ms)
        out[f"{entity.name}.seconds_since_last"] = np.where(
            end - first_now > 1, 0.0, np.where(before < entity.lookback_ms, before / 1000, UNKNOWN)
        )
    if entity.account_age:
        opened = history.opened_ms[rows]
        known_age = (opened > 0) & (opened <= t)
        out[f"{entity.name}.account_age_days"] = np.where(known_age, (t - opened) / DAY_MS, UNKNOWN)
    return out


def _distinct(codes: Ints, start: Ints, end: Ints) -> Floats:
    """Distinct codes in [start, end): those whose previous occurrence lies before the window."""
    n = len(codes)
    previous = np.full(n, -1, dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    previous[order[1:][same]] = order[:-1][same]
    places, present = np.arange(n), codes != 0
    out = np.empty(n)
    step = max(CELLS // n, 1)
    for i in range(0, n, step):
        lo, hi = start[i : i + step, None], end[i : i + step, None]
        out[i : i + step] = ((places >= lo) & (places < hi) & (previous < lo) & present).sum(axis=1)
    return out


def _known_frauds(fraud: NDArray[np.bool_], known: Ints, t: Ints, first: Ints, last: Ints) -> Ints:
    """Frauds in [first, last) that were known at each payment's own time."""
    places = np.flatnonzero(fraud)
    out = np.zeros(len(t), np.int64)
    if not len(places):
        return out
    step = max(CELLS // len(places), 1)
    for i in range(0, len(t), step):
        part = slice(i, i + step)
        inside = (places >= first[part, None]) & (places < last[part, None]) & (known[places] <= t[part, None])
        out[part] = inside.sum(axis=1)
    return out


def _groups(codes: Ints) -> list[Ints]:
    """Row numbers by code, each in order of time."""
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return np.split(order, cuts) if len(codes) else []


def _codes(tenants: NDArray[np.str_], values: NDArray[np.str_]) -> tuple[Ints, Ints]:
    """Codes by (tenant, value), and the value's 32-bit hash."""
    _, tenant = np.unique(tenants, return_inverse=True)
    unique, value = np.unique(values, return_inverse=True)
    hashes = np.array([hash32(v) for v in unique.tolist()], dtype=np.int64)
    return tenant.astype(np.int64) * len(unique) + value, hashes[value]
