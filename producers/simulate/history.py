"""The first simulated days as arrays without personal data, to train the fraud model on: the numbers that are played.

    python -m producers.simulate.history OUT

Columns of the file (npz, one entry a payment, in order of time): event_id, tenant_id, merchant_id (text),
customer_index, device_index, amount_cents, occurred_ms, opened_ms, labelled_ms (0: never; int64), is_fraud (bool),
scenario (int8). `device_index` numbers devices over all people; whoever has the same index used the same device.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from producers.simulate.handbook import generate
from producers.simulate.payments import Facts, recipe
from producers.simulate.people import People
from producers.simulate.settings import SimulateSettings

FILE = Path("history") / "transactions.npz"
DEVICES_PER_PERSON = 3


def history(settings: SimulateSettings) -> dict[str, NDArray[np.generic]]:
    """The columns above for the payments before day `history_days`."""
    payments = generate(recipe(settings))
    facts, people = Facts(settings, payments), People(settings.seed)
    rows = payments.before(settings.history_days)
    customer = payments.customer[:rows]
    devices = [len(people[int(number)].devices) for number in range(settings.customers)]
    opened = np.array([facts.opened_ms(number) for number in range(settings.customers)], dtype=np.int64)
    fraud = payments.is_fraud[:rows]
    return {
        "event_id": np.array([facts.event_id(row) for row in range(rows)]),
        "tenant_id": np.array([facts.tenant(int(number)) for number in customer]),
        "merchant_id": np.array([f"m-{int(number):05d}" for number in payments.terminal[:rows]]),
        "customer_index": customer,
        "device_index": customer * DEVICES_PER_PERSON
        + np.array([facts.device(row, devices[int(customer[row])]) for row in range(rows)], dtype=np.int64),
        "amount_cents": payments.amount_cents[:rows],
        "occurred_ms": facts.start_ms + payments.second[:rows] * 1000,
        "opened_ms": opened[customer],
        "labelled_ms": np.array([facts.labelled_ms(row) if fraud[row] else 0 for row in range(rows)], dtype=np.int64),
        "is_fraud": fraud,
        "scenario": payments.scenario[:rows],
    }


def write(path: Path, settings: SimulateSettings | None = None) -> int:
    """Write the file as a whole (replaced by rename) and return its number of payments."""
    columns = history(settings or SimulateSettings())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        np.savez_compressed(file, allow_pickle=False, **columns)
    os.replace(temporary, path)
    return len(columns["event_id"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m producers.simulate.history OUT")
    from caudal.settings import load

    written = write(Path(sys.argv[1]), load().section("producers.simulate", SimulateSettings))
    sys.stdout.write(f"{written} payments\n")
