"""The receiver's memory of deliveries: `pending` from receipt until Kafka's acknowledgement, then `sent`, or `refused`.

A shop that sees no answer sends the delivery again, with the same id, for four hours. A repetition of a `sent` or
`refused` one is answered as before without another record; one that meets `pending` (the process died in between) is
sent again, and its event id makes a possible second record a duplicate. A delivery is known by its id **and** its body,
because the id header is not signed.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from caudal.settings import Settings

FILE = "shopify-inbox.sqlite"
State = Literal["pending", "sent", "refused"]
DAY_MS = 86_400_000
# Shopify repeats for 4 hours; a week covers repetitions that people start by hand.
KEPT_MS = 8 * DAY_MS
PURGE_EVERY = 5_000


@dataclass(frozen=True)
class Delivery:
    """What is remembered: the verdict, never the payload. `at_ms` is when it was first seen."""

    state: State
    status: int = 200
    code: str = ""
    path: str = ""
    at_ms: int = 0


class Inbox:
    """Deliveries in one SQLite file (WAL). One process writes; the poll of the same host may read."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._claims = 0
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5)
        self._db.execute("PRAGMA journal_mode=WAL")
        # No FULL sync: a shop is answered only after Kafka's acknowledgement, so a delivery forgotten in a power cut
        # is repeated by the shop and recognised by its event id.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS delivery (shop TEXT, id TEXT, event_id TEXT, state TEXT, status INTEGER,"
            " code TEXT, path TEXT, at INTEGER, PRIMARY KEY (shop, id)) WITHOUT ROWID"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS delivery_event ON delivery (event_id)")

    @classmethod
    def of(cls, settings: Settings) -> Inbox:
        """The install's inbox."""
        return cls(settings.data_dir / FILE)

    def claim(self, shop: str, delivery_id: str, now_ms: int) -> Delivery | None:
        """Write down a delivery as pending. Returns what was known of it before: None when it is new."""
        with self._lock:
            self._claims += 1
            if self._claims % PURGE_EVERY == 1:
                self._db.execute("DELETE FROM delivery WHERE at < ?", (now_ms - KEPT_MS,))
            row = self._db.execute(
                "SELECT state, status, code, path, at FROM delivery WHERE shop = ? AND id = ?", (shop, delivery_id)
            ).fetchone()
            if row is not None:
                return Delivery(*row)
            self._db.execute(
                "INSERT INTO delivery VALUES (?, ?, '', 'pending', 0, '', '', ?)", (shop, delivery_id, now_ms)
            )
        return None

    def settle(self, shop: str, delivery_id: str, verdict: Delivery, event_id: str = "") -> None:
        """Write down how a delivery ended. Called only after Kafka has acknowledged its record."""
        with self._lock:
            self._db.execute(
                "UPDATE delivery SET state = ?, status = ?, code = ?, path = ?, event_id = ? WHERE shop = ? AND id = ?",
                (verdict.state, verdict.status, verdict.code, verdict.path, event_id, shop, delivery_id),
            )

    def sent(self, event_ids: Collection[str]) -> set[str]:
        """Those of the event ids that a webhook has already brought into Kafka."""
        wanted = list(event_ids)
        marks = ",".join("?" * len(wanted))
        with self._lock:
            rows = self._db.execute(
                f"SELECT event_id FROM delivery WHERE state = 'sent' AND event_id IN ({marks})", wanted
            ).fetchall()
        return {row[0] for row in rows}

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


def delivery_id(webhook_id: str, topic: str, body: bytes) -> str:
    """Identity of a delivery: its id, topic and body, since neither header is signed."""
    digest = hashlib.sha256()
    for part in (webhook_id.encode("utf-8", "surrogateescape"), topic.encode("utf-8", "surrogateescape"), body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
