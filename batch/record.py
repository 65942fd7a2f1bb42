"""What a cycle did: one JSON file a cycle, written before anything that depends on it.

    open ── built ── passed ── published
              └───── failed ── restored

A record that is not closed (published, restored) belongs to a cycle that was killed, or to `caudal batch build`, whose
result waits for `caudal batch publish`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from caudal.clock import Clock
from caudal.lake import Lake

State = Literal["open", "passed", "failed", "published", "restored"]
FOLDER = "_cycles"


@dataclass(frozen=True)
class Built:
    """A mart as a cycle left it: the Delta version and table id that its gate saw, and how many rows."""

    version: int
    table_id: str
    rows: int


@dataclass(frozen=True)
class Record:
    """One cycle of one group. Times are epoch milliseconds, `seconds` are by step."""

    cycle: str
    group: str
    state: State
    started_ms: int
    ended_ms: int = 0
    """When its gate gave its verdict, or when it was published; 0 when it never got that far."""
    inputs: tuple[str, ...] = ()
    """Silver tables that the group's marts read, also those that do not exist yet."""
    silver_versions: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Built] = field(default_factory=dict)
    tests: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    mart_seconds: Mapping[str, float] = field(default_factory=dict)
    """How long dbt took for each mart that this cycle built."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Checksum of each mart's SQL, so that a changed model is built anew."""
    reads: Mapping[str, str] = field(default_factory=dict)
    """Digest of what each mart was built from, so that a mart whose inputs have not moved is left as it is."""
    restored_from: Mapping[str, int] = field(default_factory=dict)
    """Set by a restore: the version that each table's content was taken from."""
    inherits: str = ""
    """Set by a restore: the cycle whose gate passed that content."""


def new_cycle(clock: Clock, group: str) -> str:
    """An id that sorts by time: `20261123T160102003-live`."""
    return f"{clock.now():%Y%m%dT%H%M%S}{clock.now_ms() % 1000:03d}-{group}"


def save(lake: Lake, record: Record) -> Record:
    """Write the record, and the pointer to it while it is not closed."""
    keep(lake, record)
    if record.state in ("published", "restored"):
        lake.delete(_open_name(record.group))
    else:
        lake.write_atomic(_open_name(record.group), record.cycle.encode())
    return record


def keep(lake: Lake, record: Record) -> Record:
    """Write the record alone; an open cycle of the group stays open."""
    lake.write_atomic(_name(record.cycle), json.dumps(asdict(record), separators=(",", ":")).encode())
    return record


def with_origin(record: Record, origin: Record) -> Record:
    """The record of a restore with what its content was built from and by."""
    return replace(record, models=dict(origin.models), reads=dict(origin.reads), inputs=origin.inputs)


def load(lake: Lake, cycle: str) -> Record | None:
    """The record of a cycle, or None when there is none."""
    data = lake.read_bytes(_name(cycle))
    return None if data is None else _parse(json.loads(data))


def load_open(lake: Lake, group: str) -> Record | None:
    """The record that a killed cycle, or a build that waits for its publish, left open."""
    pointer = lake.read_bytes(_open_name(group))
    return None if pointer is None else load(lake, pointer.decode())


def close(record: Record, state: State) -> Record:
    """The record in its last state."""
    return replace(record, state=state)


def prune(lake: Lake, keep: int, needed: frozenset[str]) -> int:
    """Remove the oldest records above `keep`, never one that the manifest needs. Returns how many went."""
    cycles = [name for name in lake.list(FOLDER) if not name.rpartition("/")[2].startswith("open-")]
    old = [name for name in cycles[: max(0, len(cycles) - keep)] if _cycle_of(name) not in needed]
    for name in old:
        lake.delete(name)
    return len(old)


def _parse(raw: dict[str, Any]) -> Record:
    tables = {name: Built(**built) for name, built in raw.pop("tables").items()}
    return Record(**{**raw, "failed": tuple(raw["failed"]), "inputs": tuple(raw["inputs"])}, tables=tables)


def _cycle_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")


def _name(cycle: str) -> str:
    return f"{FOLDER}/{cycle}.json"


def _open_name(group: str) -> str:
    return f"{FOLDER}/open-{group}"
