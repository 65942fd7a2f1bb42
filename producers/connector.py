"""The seam of every source that is pulled: check → read(cursor) → publish → save state after the acknowledgement.

A source reads and knows nothing of Kafka; `Puller` publishes and knows nothing of the source. The cursor is saved only
when Kafka has acknowledged everything before it, so a crash at any point reads some records again and loses none; their
event ids are derived from the source, so reading twice is no second event.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from caudal.clock import Clock, SystemClock
from caudal.fault import crashpoint
from caudal.metrics import Metrics
from producers.publish import Publisher
from producers.publish_prepare import Refused
from producers.rejected import Rejected

Cursor = Mapping[str, Any]
"""Where a source goes on: small, JSON-ready, its meaning known to the source alone."""
STATE_FILE = "connectors.sqlite"
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Record:
    """One event as read. `observed_ms` is the source's own clock, `position` where it was found, `raw` the bytes."""

    contract: str
    event: Mapping[str, object]
    observed_ms: int
    position: str
    raw: bytes = b""


@dataclass(frozen=True)
class Unfit:
    """Something read that is no event: code and field, and the bytes for the sealed record of it."""

    contract: str
    tenant: str
    code: str
    path: str
    position: str
    raw: bytes = b""


@dataclass(frozen=True)
class Batch:
    """What was read together, and the cursor behind it."""

    items: tuple[Record | Unfit, ...]
    cursor: Cursor


class Source(Protocol):
    """A place to read from.

    `name` is stable: the cursor is kept under it. `origin` is what the origin of its events says. `check` raises a
    CaudalError when the source cannot be read, saying why. `read` yields batches from the cursor on (None: from the
    beginning) until there is nothing more for now; it may raise a TransientError at any point, and is then called
    again with the last saved cursor.
    """

    @property
    def name(self) -> str: ...

    @property
    def origin(self) -> str: ...

    def check(self) -> None: ...

    def read(self, cursor: Cursor | None) -> Iterator[Batch]: ...


Refuse = Callable[[Unfit], None]
"""Keeps what does not fit, sealed. Raises a TransientError when it cannot."""


@dataclass
class Report:
    """What one pull did; `refused` counts by code."""

    read: int = 0
    published: int = 0
    batches: int = 0
    refused: dict[str, int] = field(default_factory=dict)


class States:
    """Cursors of all sources of one install, in one SQLite file."""

    def __init__(self, data_dir: Path, clock: Clock | None = None) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._db = sqlite3.connect(data_dir / STATE_FILE, check_same_thread=False, isolation_level=None, timeout=5)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, cursor TEXT, at INTEGER)")

    def load(self, name: str) -> dict[str, Any] | None:
        """The last saved cursor, or None."""
        with self._lock:
            row = self._db.execute("SELECT cursor FROM state WHERE name = ?", (name,)).fetchone()
        return dict(json.loads(row[0])) if row else None

    def save(self, name: str, cursor: Cursor) -> None:
        """Replace the cursor."""
        with self._lock:
            self._db.execute(
                "INSERT INTO state VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor,"
                " at = excluded.at",
                (name, json.dumps(dict(cursor)), self._clock.now_ms()),
            )

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()


class Puller:
    """Moves one source's records to Kafka."""

    def __init__(
        self,
        source: Source,
        publisher: Publisher,
        states: States,
        *,
        refuse: Refuse | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """Without `refuse`, what does not fit is only counted."""
        self._source, self._publisher, self._states = source, publisher, states
        self._refuse, self._metrics = refuse, metrics

    def run(self) -> Report:
        """Read everything there is now. Raises what the source and the publisher raise; the state stays consistent."""
        self._source.check()
        report = Report()
        for batch in self._source.read(self._states.load(self._source.name)):
            self._publish(batch, report)
            crashpoint("connector.published")
            self._publisher.flush()
            crashpoint("connector.acknowledged")
            self._states.save(self._source.name, batch.cursor)
            report.batches += 1
        return report

    def _publish(self, batch: Batch, report: Report) -> None:
        report.read += len(batch.items)
        for unfit in (item for item in batch.items if isinstance(item, Unfit)):
            self._turn_away(unfit, report)
        records = [item for item in batch.items if isinstance(item, Record)]
        for contract, group in groupby(records, key=lambda record: record.contract):
            together = list(group)
            answers = self._publisher.prepare_many(
                contract,
                [record.event for record in together],
                observed_at=[record.observed_ms for record in together],
                positions=[record.position for record in together],
                source=self._source.origin,
            )
            for record, answer in zip(together, answers, strict=True):
                if isinstance(answer, Refused):
                    self._turn_away(self._unfit(record, answer), report)
                else:
                    self._publisher.produce(answer)
                    report.published += 1

    def _unfit(self, record: Record, answer: Refused) -> Unfit:
        contract = self._publisher.contracts.get(record.contract).contract
        tenant = str(record.event.get(contract.tenant) or "")
        return Unfit(record.contract, tenant, answer.code, answer.path, record.position, record.raw)

    def _turn_away(self, unfit: Unfit, report: Report) -> None:
        report.refused[unfit.code] = report.refused.get(unfit.code, 0) + 1
        if self._metrics is not None:
            self._metrics.count("caudal_refused_total", source=self._source.name, code=unfit.code)
        if self._refuse is not None:
            self._refuse(unfit)


def sealed(rejected: Rejected, clock: Clock | None = None) -> Refuse:
    """Keep what does not fit on `caudal.rejected`. The same bytes read again within an hour are the same event."""
    now = clock or SystemClock()

    def refuse(unfit: Unfit) -> None:
        hour = now.now_ms() // HOUR_MS * HOUR_MS
        identity = hashlib.sha256("\x1f".join((unfit.contract, unfit.tenant, unfit.code, str(hour))).encode())
        identity.update(unfit.raw)
        rejected.reject(
            unfit.tenant,
            unfit.contract,
            "sdk",
            unfit.code,
            unfit.path or None,
            unfit.raw,
            event_id=identity.hexdigest()[:32],
            at_ms=hour,
        )

    return refuse
