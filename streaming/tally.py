"""What a table is made of, kept up to date from what its commits say; its whole state is put together only once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from caudal.commits import actions, commit_info, read
from caudal.lake import Lake

# Commits read at one look; the others wait for the next.
AT_ONCE = 500


@dataclass(frozen=True)
class File:
    """A live data file: bytes, rows, rows that a deletion vector took out, and whether clustering has not seen it."""

    bytes: int
    rows: int
    deleted: int = 0
    loose: bool = True


class Tally:
    """The live files of one table as of `version`, and the commits of its log from `first` on."""

    def __init__(self, lake: Lake, layer: str, name: str) -> None:
        self._lake, self._place, self._folder = lake, (layer, name), f"{layer}/{name}/_delta_log"
        self._address = lake.table(layer, name)
        self.version = -1
        self.first = 0
        self.files: dict[str, File] = {}

    def look(self) -> bool:
        """Take in the commits since the last look; true when there are no further ones."""
        if self.version < 0:
            self._begin()
            return True
        for _ in range(AT_ONCE):
            found = read(self._lake, *self._place, self.version + 1)
            if found is None:
                return True
            self.files = applied(self.files, actions(found))
            self.version += 1
        return False

    def versions(self) -> int:
        """Commits in the log."""
        return self.version - self.first + 1

    def names(self) -> list[str]:
        """Names of the log's files, sorted; also finds out where the log begins now."""
        found = [name.rpartition("/")[2] for name in self._lake.list(self._folder)]
        self.first = min((int(n[:20]) for n in found if n[20:] == ".json"), default=self.first)
        return found

    def made_at_ms(self, version: int) -> int | None:
        """When a commit was made (epoch ms); None when it is not in the log."""
        info = commit_info(self._lake, *self._place, version)
        return int(info["timestamp"]) if info else None

    def forget(self, name: str) -> None:
        """Delete a file of the log."""
        self._lake.delete(f"{self._folder}/{name}")

    def _begin(self) -> None:
        opened = DeltaTable(self._address, storage_options=self._lake.storage_options or None)
        live = pa.table(opened.get_add_actions(flatten=True))
        columns = (live[name].to_pylist() for name in ("path", "size_bytes", "num_records"))
        # Whether a file is clustered stands in a tag that is not told here; the next commits tell of theirs.
        each = zip(*columns, strict=True)
        self.files = {unquote(path): File(size, rows or 0, loose=False) for path, size, rows in each}
        vectors = pa.table(opened.deletion_vectors())
        for path, kept in zip(vectors["filepath"].to_pylist(), vectors["selection_vector"], strict=True):
            name = next((n for n in self.files if unquote(path).endswith(n)), None)
            if name is not None:
                gone = len(kept.values) - int(pc.sum(kept.values.cast(pa.int64())).as_py() or 0)
                self.files[name] = replace(self.files[name], deleted=gone)
        self.version = opened.version()
        self.names()


def applied(files: Mapping[str, File], commit: Iterable[Mapping[str, Any]]) -> dict[str, File]:
    """The live files after a commit. A file that only gets another deletion vector is removed and added by it."""
    found = list(commit)
    gone = {unquote(action["remove"]["path"]) for action in found if "remove" in action}
    new = {unquote(action["add"]["path"]): _file(action["add"]) for action in found if "add" in action}
    return {**{path: file for path, file in files.items() if path not in gone}, **new}


def _file(add: Mapping[str, Any]) -> File:
    stats = json.loads(add.get("stats") or "{}")
    vector = add.get("deletionVector") or {}
    loose = "ZCUBE_ID" not in (add.get("tags") or {})
    return File(int(add["size"]), int(stats.get("numRecords") or 0), int(vector.get("cardinality") or 0), loose)
