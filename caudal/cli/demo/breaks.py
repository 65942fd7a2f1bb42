"""`--break`: inject one fault into the running stack, show that it is detected, and show the recovery."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caudal.cli.demo.progress import Progress
from producers.simulate import faults

# How long a fault is injected, and how long its detection or recovery may take on two busy cores.
FAULT_S = 20.0
PATIENCE_S = 180.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """What goes wrong and the sign by which Caudal notices it: a counter and its labels.

    `share`: some of it is there without the fault, so the sign is this part of the contract's new records.
    """

    story: str
    counter: str
    labels: dict[str, str]
    share: float = 0.0


PAYMENTS = {"contract": "payments.transaction"}
FAULTS = {
    "schema": Fault(
        "a producer writes with a schema that the contract cannot read",
        "caudal_rejects_total",
        {"stage": "silver", "code": "CDL-INCOMPATIBLE"},
    ),
    "late": Fault("payments arrive ten days after they happened", "caudal_late_total", PAYMENTS),
    "dup": Fault("half of all payments are sent twice", "caudal_duplicates_total", PAYMENTS, share=0.1),
    "pii": Fault(
        "a producer bypasses the SDK and sends a CPF in clear",
        "caudal_rejects_total",
        {"stage": "silver", "code": "CDL-PLAINTEXT"},
    ),
    "broker": Fault("the Kafka broker is killed (SIGKILL)", "caudal_restarts_total", {"process": "kafka"}),
}


def inject(name: str, run_dir: Path, progress: Progress, kill_broker: Callable[[], None], say: Say) -> bool:
    """Play one fault from start to recovery; True when it was both detected and recovered from."""
    fault = FAULTS[name]
    before = _counted(progress, fault)
    say(f"[break {name}] {fault.story}")
    started = time.monotonic()
    if name == "broker":
        kill_broker()
    else:
        faults.start(run_dir, name)  # type: ignore[arg-type]  # all but the broker's are the players' own
    detected = _until(lambda: _shows(progress, fault, before), PATIENCE_S)
    found = _counted(progress, fault)[0] - before[0]
    sign = " ".join([fault.counter, *(f"{k}={v}" for k, v in fault.labels.items())])
    if not detected:
        _end(run_dir, name)
        say(f"[break {name}] NOT detected within {PATIENCE_S:.0f} s ({sign} did not move)")
        return False
    say(f"[break {name}] detected after {time.monotonic() - started:.1f} s: {sign} +{found}")
    if name != "broker":
        time.sleep(max(0.0, FAULT_S - (time.monotonic() - started)))
        _end(run_dir, name)
    healed = time.monotonic()
    silver = _silver(progress)
    # Recovered means that good events still reach silver after the fault has ended.
    recovered = _until(lambda: _silver(progress) > silver, PATIENCE_S)
    if recovered:
        say(f"[break {name}] recovered {time.monotonic() - healed:.1f} s after the fault ended: good events flow")
    else:
        say(f"[break {name}] NOT recovered within {PATIENCE_S:.0f} s")
    return recovered


def _end(run_dir: Path, name: str) -> None:
    if name != "broker":
        faults.stop(run_dir, name)  # type: ignore[arg-type]


def _counted(progress: Progress, fault: Fault) -> tuple[int, int]:
    """The sign's counter, and the rows that its contract has applied."""
    progress.read()
    found = progress.total(fault.counter, **fault.labels)
    return found, progress.total("caudal_rows_total", stage="silver", **fault.labels) if fault.share else 0


def _shows(progress: Progress, fault: Fault, before: tuple[int, int]) -> bool:
    now = _counted(progress, fault)
    found, applied = now[0] - before[0], now[1] - before[1]
    return found > 0 and found >= fault.share * (found + applied)


def _silver(progress: Progress) -> int:
    progress.read()
    return progress.by_stage("caudal_rows_total")["silver"]


def _until(condition: Callable[[], bool], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.5)
    return False
