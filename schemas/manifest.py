"""The manifest: which versions of the gold tables are published. One small file, replaced as a whole.

`_manifest/<number>.json` is written first, then `_manifest/current.json` is replaced by the same bytes. A reader loads
it once and opens every table by path and version, so it never sees two cycles mixed.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from caudal.lake import Lake

FOLDER = "_manifest"
CURRENT = f"{FOLDER}/current.json"


@dataclass(frozen=True)
class TableVersion:
    """A published gold table. `version` is Delta's; `table_id` changes when a table was replaced."""

    path: str
    table_id: str
    version: int
    rows: int


@dataclass(frozen=True)
class Group:
    """One publish group: the cycle that made it, the silver versions it was built from, its tables by mart."""

    cycle: str
    published_at_ms: int
    silver_versions: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, TableVersion] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What is published now, by group."""

    number: int
    groups: Mapping[str, Group] = field(default_factory=dict)

    def table(self, mart: str) -> TableVersion | None:
        """The published version of a mart, whichever group it belongs to."""
        return next((group.tables[mart] for group in self.groups.values() if mart in group.tables), None)

    @property
    def tables(self) -> dict[str, TableVersion]:
        """All published marts."""
        return {mart: version for group in self.groups.values() for mart, version in group.tables.items()}


def load_current(lake: Lake) -> Manifest | None:
    """The current manifest, or None before the first publication."""
    data = lake.read_bytes(CURRENT)
    return None if data is None else from_bytes(data)


def load(lake: Lake, number: int) -> Manifest | None:
    """The manifest with that number, or None."""
    data = lake.read_bytes(_name(number))
    return None if data is None else from_bytes(data)


def publish(lake: Lake, group: str, entry: Group) -> Manifest:
    """Put one group's entry in place of its last one and make that current. The other groups stay as they are.

    One writer only (batch). Killed between the two writes, the next publication takes the same number again.
    """
    before = load_current(lake)
    manifest = Manifest(
        number=before.number + 1 if before else 1,
        groups={**(before.groups if before else {}), group: entry},
    )
    data = to_bytes(manifest)
    lake.write_atomic(_name(manifest.number), data)
    lake.write_atomic(CURRENT, data)
    return manifest


def to_bytes(manifest: Manifest) -> bytes:
    """The manifest as JSON."""
    return json.dumps(asdict(manifest), indent=1, sort_keys=True).encode()


def from_bytes(data: bytes) -> Manifest:
    """The manifest that `to_bytes` wrote."""
    found: dict[str, Any] = json.loads(data)
    groups = {
        name: Group(
            cycle=group["cycle"],
            published_at_ms=group["published_at_ms"],
            silver_versions=group["silver_versions"],
            tables={mart: TableVersion(**version) for mart, version in group["tables"].items()},
        )
        for name, group in found["groups"].items()
    }
    return Manifest(number=found["number"], groups=groups)


def _name(number: int) -> str:
    return f"{FOLDER}/{number:010d}.json"
