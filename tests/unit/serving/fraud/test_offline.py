"""Columns for training and the online fold are one definition."""

import numpy as np
import pytest

from serving.errors import NoHistory
from serving.features import spec as specs
from serving.features import state
from serving.features.fold import fold, vector
from serving.features.spec import DAY_MS
from serving.fraud import offline

SPEC = specs.load()
START = 20_000 * DAY_MS


@pytest.fixture
def history_file(tmp_path):
    """60 days of 6 customers at 4 merchants; many equal instants, so that ties are met."""
    draw = np.random.default_rng(7)
    n = 900
    ms = START + np.sort(draw.integers(0, 60 * 24 * 4, n)) * (DAY_MS // 96)
    customer = draw.integers(0, 6, n)
    path = tmp_path / "transactions.npz"
    np.savez(
        path,
        event_id=np.array([f"e{i}" for i in range(n)]),
        tenant_id=np.array(["a", "b"])[draw.integers(0, 2, n)],
        customer_index=customer,
        merchant_id=np.array([f"m{i}" for i in draw.integers(0, 4, n)]),
        amount_cents=draw.integers(0, 50_000, n),
        occurred_ms=ms,
        is_fraud=draw.random(n) < 0.1,
        scenario=np.zeros(n, np.int8),
        opened_ms=START - customer * DAY_MS,
    )
    return path


def test_offline_columns_equal_the_online_fold(history_file):
    """Every feature of every payment is the same float, computed in columns or folded from packed states."""
    history = offline.read(history_file, 7 * DAY_MS)
    columns = offline.columns(SPEC, history)
    raw = np.load(history_file)
    customer, merchant = SPEC.entity("customer"), SPEC.entity("merchant")
    packed: dict[tuple[str, str], list[bytes]] = {}
    verdicts: dict[str, list[bytes]] = {}
    born: dict[str, int] = {}
    for i in range(len(history)):
        tenant, m, c = str(raw["tenant_id"][i]), str(raw["merchant_id"][i]), str(raw["customer_index"][i])
        ms, cents, event = int(raw["occurred_ms"][i]), int(raw["amount_cents"][i]), state.hash48(f"e{i}")
        who, where = f"{tenant}/{c}", f"{tenant}/{m}"
        packed.setdefault(("customer", who), []).append(state.pack_event(ms, event, cents, state.hash32(m), 0))
        packed.setdefault(("merchant", where), []).append(state.pack_event(ms, event, cents, state.hash32(c), 0))
        born[who] = int(raw["opened_ms"][i])
        if raw["is_fraud"][i]:
            label = state.pack_label(ms + 7 * DAY_MS, state.hash48(f"l{i}"), event, ms, True)
            verdicts.setdefault(where, []).append(label)
    states = {
        (kind, ref): state.rebuild(items, keep_ms=400 * DAY_MS, cap=8000, born=born[ref] if kind == "customer" else 0)
        for (kind, ref), items in packed.items()
    }
    labels = {ref: state.rebuild(items, keep_ms=400 * DAY_MS, cap=8000) for ref, items in verdicts.items()}
    differ = set()
    for i in range(len(history)):
        tenant, m, c = str(raw["tenant_id"][i]), str(raw["merchant_id"][i]), str(raw["customer_index"][i])
        ms, own = int(raw["occurred_ms"][i]), state.hash48(f"e{i}")
        folded = {
            "customer": fold(customer, states["customer", f"{tenant}/{c}"], b"", ms, own),
            "merchant": fold(merchant, states["merchant", f"{tenant}/{m}"], labels.get(f"{tenant}/{m}", b""), ms, own),
        }
        online = dict(zip(SPEC.names, vector(SPEC, int(raw["amount_cents"][i]), ms, folded), strict=True))
        differ |= {name for name, values in columns.items() if values[i] != online[name]}
    assert differ == set()
    assert {"customer.distinct_merchants_7d", "merchant.risk_30d", "amount_to_mean"} <= set(columns)


def test_no_history_is_told(tmp_path):
    """Training without a file says what to do."""
    with pytest.raises(NoHistory):
        offline.read(tmp_path / "nothing.npz", 1)
