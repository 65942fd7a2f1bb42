"""What each tenant has asked for, by UTC day: its quota is judged by it, and it may read it itself.

Counts are kept in memory and added to one SQLite file every few seconds, so that they outlive the process and several
web processes of one host share them. A process that is killed forgets the seconds since its last write.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

FLUSH_S = 2.0
KEEP_DAYS = 62
_COLUMNS = ("requests", "refused", "rows", "bytes", "seconds")


@dataclass
class Used:
    """What was asked on a day: answers, those among them that were errors of the caller, rows, bytes, seconds."""

    requests: int = 0
    refused: int = 0
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def __add__(self, other: Used) -> Used:
        return Used(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


Key = tuple[str, str]
"""Day (ISO) and tenant."""


class Usage:
    """Counts by tenant and day. `now` gives epoch seconds."""

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        self._db.execute("PRAGMA journal_mode=WAL")
        # a lost second of counts is cheaper than a disk flush each time
        self._db.execute("PRAGMA synchronous=NORMAL")
        sums = ", ".join(f"{name} REAL NOT NULL" for name in _COLUMNS)
        self._db.execute(f"CREATE TABLE IF NOT EXISTS used (day TEXT, tenant TEXT, {sums}, PRIMARY KEY (day, tenant))")
        path.chmod(0o600)
        self._now = now
        self._lock = threading.Lock()
        self._fresh: dict[Key, Used] = defaultdict(Used)
        self._written: dict[Key, Used] = {}
        self._flushed = now()

    def add(self, tenant: str, used: Used) -> None:
        """Count one answer."""
        with self._lock:
            key = (self._day(), tenant)
            self._fresh[key] = self._fresh[key] + used
            if self._now() - self._flushed > FLUSH_S:
                self._flush()

    def today(self, tenant: str) -> Used:
        """What the tenant has asked for since midnight UTC."""
        with self._lock:
            key = (self._day(), tenant)
            if key not in self._written:
                self._written[key] = self._read(key)
            return self._written[key] + self._fresh.get(key, Used())

    def days(self, tenant: str | None, most: int = 31) -> list[dict[str, object]]:
        """The latest days of one tenant, newest first; with None those of all tenants, the busiest of a day first."""
        with self._lock:
            self._flush()
            mine = "" if tenant is None else " WHERE tenant = :tenant"
            found = self._db.execute(
                f"SELECT day, tenant, {', '.join(_COLUMNS)} FROM used{mine}"
                " ORDER BY day DESC, requests DESC LIMIT :most",
                {"tenant": tenant, "most": most},
            ).fetchall()
        return [
            {"day": day, "tenant": name, **{c: int(v) for c, v in zip(_COLUMNS[:-1], sums, strict=False)},
             "seconds": round(sums[-1], 3)}
            for day, name, *sums in found
        ]  # fmt: skip

    def seconds_left(self) -> int:
        """Seconds until the day ends, at least 1: when a used-up quota is whole again."""
        return max(1, 86_400 - int(self._now()) % 86_400)

    def close(self) -> None:
        """Write what is left and close the file."""
        with self._lock:
            self._flush()
            self._db.close()

    def _flush(self) -> None:
        self._flushed = self._now()
        sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COLUMNS)
        marks = ", ".join("?" * (2 + len(_COLUMNS)))
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                f"INSERT INTO used VALUES ({marks}) ON CONFLICT (day, tenant) DO UPDATE SET {sums}",
                [(*key, *astuple(used)) for key, used in self._fresh.items()],
            )
            oldest = dt.datetime.fromtimestamp(self._now(), dt.UTC) - dt.timedelta(days=KEEP_DAYS)
            self._db.execute("DELETE FROM used WHERE day < ?", (oldest.date().isoformat(),))
            self._db.execute("COMMIT")
        except sqlite3.OperationalError:
            # busy or a full disk: counted all the same, and written next time
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            return
        self._fresh.clear()
        self._written.clear()

    def _read(self, key: Key) -> Used:
        row = self._db.execute(f"SELECT {', '.join(_COLUMNS)} FROM used WHERE day = ? AND tenant = ?", key).fetchone()
        if row is None:
            return Used()
        requests, refused, rows, size, seconds = row
        return Used(int(requests), int(refused), int(rows), int(size), seconds)

    def _day(self) -> str:
        return dt.datetime.fromtimestamp(self._now(), dt.UTC).date().isoformat()
