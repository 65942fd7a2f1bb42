"""What a Delta table's commits say of themselves, read from the files of its log by version.

deltalake's `history()` counts from the newest file of the log, so a table opened at an older version gives its commits
the numbers of others once the head has moved on. A reader beside a running writer needs the true ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from caudal.lake import Lake

_INFO = b'{"commitInfo"'


def read(lake: Lake, layer: str, table: str, version: int) -> bytes | None:
    """One commit as it lies in the log; None when it is not there (any more)."""
    return lake.read_bytes(f"{layer}/{table}/_delta_log/{version:020d}.json")


def actions(commit: bytes) -> list[dict[str, Any]]:
    """A commit's actions, one of each line. Only a line feed ends one: texts may hold what else parts lines."""
    return [json.loads(line) for line in commit.split(b"\n") if line.strip()]


def commit_info(lake: Lake, layer: str, table: str, version: int) -> dict[str, Any] | None:
    """The `commitInfo` of one commit, empty when it has none; None when the commit is not in the log (any more).

    Delta's protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md#commit-provenance-information
    """
    commit = read(lake, layer, table, version)
    if commit is None:
        return None
    found = next((line for line in commit.splitlines() if line.startswith(_INFO)), None)
    info: dict[str, Any] = json.loads(found)["commitInfo"] if found else {}
    return info


def history(lake: Lake, layer: str, table: str, newest: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Versions and their `commitInfo`, from `newest` back to the oldest commit that the log still holds."""
    for version in range(newest, -1, -1):
        info = commit_info(lake, layer, table, version)
        if info is None:
            return
        yield version, info
