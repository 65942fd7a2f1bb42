"""The vault's file: SQLite tables and the statements on them. No cache and no decision lives here.

subject     idx (HMAC of an identifier) → subject_ref, when the ref was born, live or erased
link        two refs that turned out to be one person: the younger → the older
key         (ref or single-use name, group) → key wrapped under the tenant's
ref_use     which subject a further ref (card, device …) was seen with
tenant_key  per tenant: the index key and the epochs of its wrapping key, wrapped by the provider
epoch       one row; moves on whenever every cache must forget
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from privacy.errors import VaultBusy

_CHUNK = 500  # values per SELECT … IN: below SQLite's oldest limit of 999 parameters

_SCHEMA = """
CREATE TABLE IF NOT EXISTS subject(
    idx BLOB PRIMARY KEY, tenant TEXT NOT NULL, kind TEXT NOT NULL, subject_ref TEXT NOT NULL,
    born INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'live') WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS subject_by_ref ON subject(subject_ref);
CREATE TABLE IF NOT EXISTS link(
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, from_ref TEXT NOT NULL, to_ref TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS key(
    subject_ref TEXT NOT NULL, grp TEXT NOT NULL, tenant TEXT NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY(subject_ref, grp)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ref_use(
    ref TEXT NOT NULL, subject_ref TEXT NOT NULL, PRIMARY KEY(ref, subject_ref)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tenant_key(
    tenant TEXT NOT NULL, purpose TEXT NOT NULL, epoch INTEGER NOT NULL, key_id TEXT NOT NULL, wrapped BLOB NOT NULL,
    PRIMARY KEY(tenant, purpose, epoch)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS epoch(one INTEGER PRIMARY KEY CHECK(one = 1), n INTEGER NOT NULL);
INSERT OR IGNORE INTO epoch VALUES (1, 0);
"""


def connect(path: Path, busy_s: float) -> sqlite3.Connection:
    """A connection to the vault's file (made with mode 0600 when missing), usable from any one thread at a time."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    # secure_delete overwrites what is deleted, so a destroyed key does not survive in a free page.
    for pragma in ("synchronous=FULL", "secure_delete=ON", f"busy_timeout={int(busy_s * 1000)}"):
        db.execute(f"PRAGMA {pragma}").fetchall()
    with busy_as_error():
        _log_ahead(db, time.monotonic() + busy_s)
        db.executescript("BEGIN IMMEDIATE;" + _SCHEMA + "COMMIT;")
    return db


def _log_ahead(db: sqlite3.Connection, until: float) -> None:
    """Switch a file to WAL, once for all. SQLite does not wait for another connection that does the same just now:
    the busy timeout does not hold for this one statement, so it is tried again here."""
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL").fetchall()
            return
        except sqlite3.OperationalError as error:
            if not _busy(error) or time.monotonic() >= until:
                raise
            time.sleep(0.01)


def _busy(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def busy_as_error() -> Iterator[None]:
    """Turns SQLite's lock timeout into VaultBusy."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if _busy(error):
            raise VaultBusy("another process holds the vault", retry_after=1.0) from error
        raise


@contextmanager
def write(db: sqlite3.Connection) -> Iterator[None]:
    """One immediate transaction, durable when the block ends, undone when it raises."""
    with busy_as_error():
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def subjects(db: sqlite3.Connection, idx: Sequence[bytes]) -> list[tuple[bytes, str, int, str]]:
    """(idx, subject_ref, born, state) of the identifiers that are known."""
    return _in(db, "SELECT idx, subject_ref, born, state FROM subject WHERE idx IN ({})", idx)


def wrapped_keys(db: sqlite3.Connection, refs: Sequence[str]) -> list[tuple[str, str, str, int, bytes]]:
    """(subject_ref, group, tenant, epoch, wrapped) of all keys of these refs."""
    return _in(db, "SELECT subject_ref, grp, tenant, epoch, wrapped FROM key WHERE subject_ref IN ({})", refs)


def erased(db: sqlite3.Connection, refs: Sequence[str]) -> set[str]:
    """Those of the refs whose person was erased."""
    rows = _in(db, "SELECT DISTINCT subject_ref FROM subject WHERE state = 'erased' AND subject_ref IN ({})", refs)
    return {row[0] for row in rows}


def add_subjects(db: sqlite3.Connection, rows: Iterable[tuple[bytes, str, str, str, int, str]]) -> None:
    db.executemany("INSERT INTO subject(idx, tenant, kind, subject_ref, born, state) VALUES (?,?,?,?,?,?)", rows)


def add_keys(db: sqlite3.Connection, rows: Iterable[tuple[str, str, str, int, bytes]]) -> None:
    db.executemany("INSERT INTO key(subject_ref, grp, tenant, epoch, wrapped) VALUES (?,?,?,?,?)", rows)


def add_uses(db: sqlite3.Connection, rows: Iterable[tuple[str, str]]) -> None:
    db.executemany("INSERT OR IGNORE INTO ref_use(ref, subject_ref) VALUES (?,?)", rows)


def join(db: sqlite3.Connection, tenant: str, loser: str, winner: str, born: int) -> None:
    """Lead every identifier of `loser` to `winner`, and remember that they are one person."""
    db.execute("UPDATE subject SET subject_ref = ?, born = ? WHERE subject_ref = ?", (winner, born, loser))
    db.execute("INSERT INTO link(tenant, from_ref, to_ref) VALUES (?,?,?)", (tenant, loser, winner))


def links_after(db: sqlite3.Connection, last: int) -> list[tuple[int, str]]:
    """(id, from_ref) of links newer than `last`, in order."""
    return db.execute("SELECT id, from_ref FROM link WHERE id > ? ORDER BY id", (last,)).fetchall()


def last_link(db: sqlite3.Connection) -> int:
    n: int = db.execute("SELECT coalesce(max(id), 0) FROM link").fetchone()[0]
    return n


def destroy(db: sqlite3.Connection, ref: str) -> int:
    """Delete all keys of a ref and of the refs that were joined with it, mark it erased; returns keys destroyed."""
    family, grown = {ref}, True
    while grown:
        marks = ",".join("?" * len(family))
        rows = db.execute(
            f"SELECT from_ref, to_ref FROM link WHERE from_ref IN ({marks}) OR to_ref IN ({marks})", [*family, *family]
        ).fetchall()
        wider = family.union(*rows) if rows else family
        grown, family = len(wider) > len(family), wider
    refs = [(member,) for member in sorted(family)]
    gone = sum(db.execute("DELETE FROM key WHERE subject_ref = ?", member).rowcount for member in refs)
    db.executemany("UPDATE subject SET state = 'erased' WHERE subject_ref = ?", refs)
    db.execute("UPDATE epoch SET n = n + 1")
    return gone


def epoch(db: sqlite3.Connection) -> int:
    n: int = db.execute("SELECT n FROM epoch").fetchone()[0]
    return n


def _in(db: sqlite3.Connection, sql: str, values: Sequence[object]) -> list[tuple]:  # type: ignore[type-arg]  # row shape is the caller's
    rows: list[tuple] = []  # type: ignore[type-arg]  # as above
    for start in range(0, len(values), _CHUNK):
        part = values[start : start + _CHUNK]
        rows += db.execute(sql.format(",".join("?" * len(part))), part).fetchall()
    return rows
