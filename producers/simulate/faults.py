"""Trouble that the demo can switch on while the simulators run: `<data>/run/faults.json`, which players look at.

{"late": true}    events that are older than their contract's lateness
{"dup": true}     half of all events twice
{"pii": true}     a producer that bypasses the SDK and puts a CPF in clear where only a mask may be
{"schema": true}  a producer that writes with a schema that the contract cannot read
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Fault = Literal["late", "dup", "pii", "schema"]
FAULTS: tuple[Fault, ...] = ("late", "dup", "pii", "schema")
# Share of events that a switched-on fault of the players touches.
LATE_SHARE, DUP_SHARE = 0.2, 0.5
LOOK_EVERY_S = 0.5


class Faults:
    """Which faults are on; the file is looked at most twice a second. One per thread."""

    def __init__(self, run_dir: Path) -> None:
        self._file = run_dir / "faults.json"
        self._looked = 0.0
        self._on: frozenset[str] = frozenset()

    def on(self, fault: Fault) -> bool:
        """Whether a fault is switched on now."""
        now = time.monotonic()
        if now - self._looked >= LOOK_EVERY_S:
            self._looked, self._on = now, _read(self._file)
        return fault in self._on


def start(run_dir: Path, fault: Fault) -> None:
    """Switch a fault on."""
    _write(run_dir, _read(run_dir / "faults.json") | {fault})


def stop(run_dir: Path, fault: Fault) -> None:
    """Switch a fault off."""
    _write(run_dir, _read(run_dir / "faults.json") - {fault})


def _read(path: Path) -> frozenset[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return frozenset()
    return frozenset(name for name, on in found.items() if on) if isinstance(found, Mapping) else frozenset()


def _write(run_dir: Path, faults: frozenset[str]) -> None:
    run_dir.mkdir(parents=True, exist_ok=True)
    staged = run_dir / "faults.json.new"
    staged.write_text(json.dumps({name: True for name in sorted(faults)}), encoding="utf-8")
    staged.replace(run_dir / "faults.json")
