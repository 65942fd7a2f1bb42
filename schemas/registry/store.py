"""What the registry remembers, in one SQLite file: schemas, versions of subjects, levels and modes.

An id belongs to one schema for ever: a permanent delete hides the schema, and registering it again brings back its
old id, so bytes written long ago never meet another schema.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.registry.text import Reference, Text

# The subject under which the level and mode of all others are kept.
GLOBAL = ""

_TABLES = """
CREATE TABLE IF NOT EXISTS schemas (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL, text TEXT NOT NULL, refs TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS schemas_digest ON schemas (digest);
CREATE TABLE IF NOT EXISTS versions (
    subject TEXT NOT NULL, version INTEGER NOT NULL, schema_id INTEGER NOT NULL REFERENCES schemas (id),
    deleted INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (subject, version)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS versions_schema ON versions (schema_id);
CREATE TABLE IF NOT EXISTS levels (subject TEXT PRIMARY KEY, level TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS modes (subject TEXT PRIMARY KEY, mode TEXT NOT NULL) WITHOUT ROWID;
"""
_VERSION = """
SELECT v.subject, v.version, v.schema_id, v.deleted, s.text, s.refs FROM versions v JOIN schemas s ON s.id = v.schema_id
"""


@dataclass(frozen=True)
class Version:
    """One version of a subject."""

    subject: str
    version: int
    schema_id: int
    deleted: bool
    text: Text


class Store:
    """The registry's memory. Safe to use from several threads; every write is on disk before it returns."""

    def __init__(self, path: Path | str) -> None:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
        self._db.execute("PRAGMA journal_mode=WAL")
        # An acknowledged id may already stand in a record: it must survive the machine.
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_TABLES)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One durable transaction: all of it or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # ---- schemas

    def id_of(self, text: Text) -> int | None:
        """The id that this schema has, hidden ones included."""
        rows = self._all("SELECT id FROM schemas WHERE digest = ? ORDER BY id LIMIT 1", text.digest)
        return int(rows[0][0]) if rows else None

    def add_schema(self, text: Text, schema_id: int | None = None) -> int:
        """Remember a schema, under a given id when one is imported; its id."""
        refs = json.dumps([r.to_json() for r in text.references])
        with self._lock:
            row = self._db.execute(
                "INSERT INTO schemas (id, digest, text, refs) VALUES (?, ?, ?, ?)",
                (schema_id, text.digest, text.text, refs),
            )
            return int(row.lastrowid or 0)

    def by_id(self, schema_id: int) -> Text | None:
        """A schema that at least one version, soft-deleted or not, still names."""
        rows = self._all(
            "SELECT text, refs FROM schemas WHERE id = ? AND id IN (SELECT schema_id FROM versions)", schema_id
        )
        return _text(*rows[0]) if rows else None

    def holder_of(self, schema_id: int) -> Text | None:
        """What stands under this id, hidden or not."""
        rows = self._all("SELECT text, refs FROM schemas WHERE id = ?", schema_id)
        return _text(*rows[0]) if rows else None

    def max_id(self) -> int:
        """The highest id given so far."""
        return int(self._all("SELECT coalesce(max(id), 0) FROM schemas")[0][0])

    # ---- versions

    def versions(self, subject: str) -> list[Version]:
        """All versions of a subject, oldest first, soft-deleted ones included."""
        return [_version(row) for row in self._all(f"{_VERSION} WHERE v.subject = ? ORDER BY v.version", subject)]

    def uses(self, schema_id: int) -> list[Version]:
        """The versions that are this schema."""
        return [
            _version(row)
            for row in self._all(f"{_VERSION} WHERE v.schema_id = ? ORDER BY v.subject, v.version", schema_id)
        ]

    def everything(self) -> list[Version]:
        """All versions of all subjects."""
        return [_version(row) for row in self._all(f"{_VERSION} ORDER BY v.subject, v.version")]

    def add_version(self, subject: str, version: int, schema_id: int) -> None:
        self._run("INSERT INTO versions (subject, version, schema_id) VALUES (?, ?, ?)", subject, version, schema_id)

    def mark_deleted(self, subject: str, version: int) -> None:
        self._run("UPDATE versions SET deleted = 1 WHERE subject = ? AND version = ?", subject, version)

    def forget(self, subject: str, version: int) -> None:
        self._run("DELETE FROM versions WHERE subject = ? AND version = ?", subject, version)

    # ---- levels and modes

    def level(self, subject: str) -> str | None:
        rows = self._all("SELECT level FROM levels WHERE subject = ?", subject)
        return str(rows[0][0]) if rows else None

    def set_level(self, subject: str, level: str | None) -> None:
        """None takes the subject's own level away."""
        self._run("DELETE FROM levels WHERE subject = ?", subject)
        if level is not None:
            self._run("INSERT INTO levels VALUES (?, ?)", subject, level)

    def mode(self, subject: str) -> str | None:
        rows = self._all("SELECT mode FROM modes WHERE subject = ?", subject)
        return str(rows[0][0]) if rows else None

    def set_mode(self, subject: str, mode: str | None) -> None:
        """None takes the subject's own mode away."""
        self._run("DELETE FROM modes WHERE subject = ?", subject)
        if mode is not None:
            self._run("INSERT INTO modes VALUES (?, ?)", subject, mode)

    def _all(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _run(self, sql: str, *values: object) -> None:
        with self._lock:
            self._db.execute(sql, values)


def _version(row: tuple[Any, ...]) -> Version:
    subject, version, schema_id, deleted, text, refs = row
    return Version(str(subject), int(version), int(schema_id), bool(deleted), _text(text, refs))


def _text(text: object, refs: object) -> Text:
    return Text(str(text), tuple(Reference(**item) for item in json.loads(str(refs))))
