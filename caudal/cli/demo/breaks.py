"""`--break`: inject one fault into the running stack, show that it is detected, and show the recovery."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from caudal.cli.demo.progress import Progress

# How long a fault is injected, and how long its detection or recovery may take on two busy cores.
FAULT_S = 20.0
PATIENCE_S = 180.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """What goes wrong and the sign by which Caudal notices it (`signs`: a counter and its labels)."""

    name: str
    story: str
    counter: str
    labels: dict[str, str]


FAULTS = {
    "schema": Fault(
        "schema",
        "a producer writes with a schema that the contract cannot read",
        "caudal_rejects_total",
        {"stage": "silver", "code": "CDL-INCOMPATIBLE"},
    ),
    "late": Fault("late", "events arrive days after they happened", "caudal_late_total", {}),
    "dup": Fault("dup", "half of all events are sent twice", "caudal_duplicates_total", {}),
    "pii": Fault(
        "pii",
        "a producer bypasses the SDK and sends a CPF in clear",
        "caudal_rejects_total",
        {"stage": "silver", "code": "CDL-PLAINTEXT"},
    ),
    "broker": Fault("broker", "the Kafka broker is killed (SIGKILL)", "caudal_restarts_total", {"process": "kafka"}),
}


def inject(name: str, run_dir: Path, progress: Progress, kill_broker: Callable[[], None], say: Say) -> bool:
    """Play one fault from start to recovery; True when it was both detected and recovered from."""
    fault = FAULTS[name]
    progress.read()
    before = progress.total(fault.counter, **fault.labels)
    say(f"[break {name}] {fault.story}")
    started = time.monotonic()
    if name == "broker":
        kill_broker()
    else:
        _tell(run_dir, {name: True})
    detected = _until(lambda: _moved(progress, fault, before), PATIENCE_S)
    found = progress.total(fault.counter, **fault.labels) - before
    sign = " ".join([fault.counter, *(f"{k}={v}" for k, v in fault.labels.items())])
    if not detected:
        _tell(run_dir, {})
        say(f"[break {name}] NOT detected within {PATIENCE_S:.0f} s ({sign} did not move)")
        return False
    say(f"[break {name}] detected after {time.monotonic() - started:.1f} s: {sign} +{found}")
    if name != "broker":
        time.sleep(max(0.0, FAULT_S - (time.monotonic() - started)))
        _tell(run_dir, {})
    healed = time.monotonic()
    silver = _silver(progress)
    # Recovered means that good events still reach silver after the fault has ended.
    recovered = _until(lambda: _silver(progress) > silver, PATIENCE_S)
    if recovered:
        say(f"[break {name}] recovered {time.monotonic() - healed:.1f} s after the fault ended: good events flow")
    else:
        say(f"[break {name}] NOT recovered within {PATIENCE_S:.0f} s")
    return recovered


def _tell(run_dir: Path, faults: dict[str, bool]) -> None:
    """The simulators poll this file; it is replaced whole."""
    target = run_dir / "faults.json"
    staged = target.with_suffix(".new")
    staged.write_text(json.dumps(faults), encoding="utf-8")
    staged.replace(target)


def _moved(progress: Progress, fault: Fault, before: int) -> bool:
    progress.read()
    return progress.total(fault.counter, **fault.labels) > before


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
