"""Small contracts for tests: written to a folder as a person would, then loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.contract import Contract
from schemas.load import load_contract

TIME = {"type": "long", "logicalType": "timestamp-millis"}
BASE: tuple[dict[str, Any], ...] = (
    {"name": "event_id", "type": "string"},
    {"name": "tenant_id", "type": "string"},
    {"name": "thing_id", "type": "string"},
    {"name": "happened_at", "type": TIME},
)
YAML = """id: ID
description: Things that happen in tests
owner: tests
mode: append
event_id: event_id
event_time: happened_at
tenant: tenant_id
"""


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    """A field that may be null."""
    return {"name": name, **more, "type": ["null", kind], "default": None}


def pii(name: str, cls: str, kind: Any = "string") -> dict[str, Any]:
    """A personal field that may be null."""
    return field(name, kind, pii=cls, id=name)


def write(
    root: Path,
    *versions: tuple[dict[str, Any], ...],
    id: str = "tests.thing",
    yaml: str = YAML,
    name: str = "Thing",
    base: tuple[dict[str, Any], ...] = BASE,
) -> Path:
    """A contract folder under `root`: version n has the base fields and the n-th tuple. Returns the folder."""
    folder = root.joinpath(*id.split("."))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contract.yml").write_text(yaml.replace("ID", id, 1), encoding="utf-8")
    for number, fields in enumerate(versions, start=1):
        avsc = {"type": "record", "name": name, "namespace": "caudal.tests", "fields": [*base, *fields]}
        (folder / f"v{number}.avsc").write_text(json.dumps(avsc, indent=1), encoding="utf-8")
    return folder


def make(root: Path, *versions: tuple[dict[str, Any], ...], **how: str) -> Contract:
    """The loaded contract of such a folder."""
    return load_contract(write(root, *versions, **how))
