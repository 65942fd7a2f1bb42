"""What one install writes down for other processes: endpoints, processes, its id. Files are replaced whole."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LEASE = "supervisor.lease"


def install_id(run_dir: Path) -> str:
    """The id of this data folder's install; made once. It marks every process that belongs to it."""
    path = run_dir / "install_id"
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        write(path, secrets.token_hex(12))
        return path.read_text(encoding="utf-8").strip()


def write_endpoints(run_dir: Path, gives: Mapping[str, object], urls: Mapping[str, str]) -> None:
    """Where the servers of this install are, for `caudal.settings.load` of any verb. Readable by the owner only."""
    write(run_dir / "endpoints.json", json.dumps({"settings": nested(gives), "urls": dict(urls)}, indent=1))


def forget_endpoints(run_dir: Path) -> None:
    """Nothing of this install runs any more."""
    (run_dir / "endpoints.json").unlink(missing_ok=True)


def read(path: Path) -> dict[str, Any]:
    """A record, or an empty one when it is not there or not whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, text: str) -> None:
    """Replace the file: a reader sees the old text or the new one. Mode 0600: endpoints may carry keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, staged = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(staged, path)
    except BaseException:
        Path(staged).unlink(missing_ok=True)
        raise


def nested(flat: Mapping[str, object]) -> dict[str, Any]:
    """`{"kafka.bootstrap": x}` as `{"kafka": {"bootstrap": x}}`."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        node = tree
        *parents, leaf = path.split(".")
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = value
    return tree
