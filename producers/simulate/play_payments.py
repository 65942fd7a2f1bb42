"""Plays the payments world: the history at full speed, then live at a rate, and goes on there after a restart."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any

from caudal import log
from caudal.errors import TransientError
from caudal.metrics import Metrics
from producers.connector import States
from producers.publish import Publisher
from producers.simulate.clock import Pace
from producers.simulate.faults import DUP_SHARE, LATE_SHARE, Faults
from producers.simulate.payments import DAY_MS, LABEL, TRANSACTION, Item, Timeline
from producers.simulate.settings import SimulateSettings

STATE = "simulate:payments"
# Beyond the contract's lateness of seven days.
LATE_MS = 10 * DAY_MS
# Live events are sealed together ten times a second.
TICKS_PER_S = 10
ONE_IN = 100
"""Without any fault one payment in a hundred is sent twice, as callers do that time out and try again."""


class PaymentsPlayer:
    """One thread's work: `run` returns when told to stop."""

    def __init__(
        self,
        settings: SimulateSettings,
        timeline: Timeline,
        publisher: Publisher,
        states: States,
        faults: Faults,
        metrics: Metrics,
    ) -> None:
        self._settings, self._timeline, self._publisher = settings, timeline, publisher
        self._states, self._faults, self._metrics = states, faults, metrics
        self._draw = random.Random(settings.seed)
        self._log = log.get("simulate.payments")

    def run(self, stop: threading.Event) -> None:
        """Play until told to stop. Kafka being away only delays: the same items are tried again."""
        row = int((self._states.load(STATE) or {}).get("row", 0))
        items = self._timeline.items(row)
        if row < self._timeline.history_end:
            row = self._history(items, row, stop)
            items = self._timeline.items(row)
        self._metrics.mark("history_published")
        self._metrics.gauge("caudal_history_rows", row)
        if self._settings.payments_per_s:
            self._live(items, stop)

    def _history(self, items: Iterator[Item], row: int, stop: threading.Event) -> int:
        """Everything before the end of the history; returns the next payment."""
        end = self._timeline.history_end
        while row < end and not stop.is_set():
            batch = list(islice(items, self._settings.history_batch))
            # Accounts come first with row 0; nothing of the live days belongs to the history.
            batch = [item for item in batch if item.row <= end]
            if not self._send(batch, stop):
                return row
            row = max((item.row for item in batch), default=end)
            self._metrics.gauge("caudal_history_rows", row)
        return row

    def _live(self, items: Iterator[Item], stop: threading.Event) -> None:
        pace = Pace(self._settings.payments_per_s)
        size = max(1, round(self._settings.payments_per_s / TICKS_PER_S))
        while not stop.wait(pace.wait_s(size)):
            batch = list(islice(items, size))
            if not self._send([*batch, *self._mischief(batch)], stop):
                return

    def _mischief(self, batch: list[Item]) -> list[Item]:
        """Repetitions and, when switched on, late events."""
        share = DUP_SHARE if self._faults.on("dup") else 1 / ONE_IN
        extra = [item for item in batch if item.contract == TRANSACTION and self._draw.random() < share]
        if self._faults.on("late"):
            extra += [_late(i) for i in batch if i.contract == TRANSACTION and self._draw.random() < LATE_SHARE]
        return extra

    def _send(self, batch: list[Item], stop: threading.Event) -> bool:
        """Publish and wait for the acknowledgement, as often as it takes; False when told to stop before that."""
        if not batch:
            return True
        ordered = sorted(batch, key=lambda item: item.contract)
        while not stop.is_set():
            try:
                for contract, group in groupby(ordered, key=lambda item: item.contract):
                    together = list(group)
                    self._publisher.publish_many(
                        contract,
                        [item.event for item in together],
                        observed_at=[item.observed_ms for item in together],
                        positions=[_position(item) for item in together],
                    )
                self._publisher.flush()
            except TransientError as error:
                self._log.warning("kafka_away", code=error.code)
                stop.wait(min(error.retry_after, 2.0))
                continue
            self._states.save(STATE, {"row": max(item.row for item in batch)})
            return True
        return False


def _position(item: Item) -> str | None:
    return f"row:{item.row}" if item.contract != LABEL else None


def _late(item: Item) -> Item:
    """A further payment that happened ten days before its source saw it."""
    event: dict[str, Any] = dict(item.event)
    event |= {
        "event_id": event["event_id"][:-5] + "-late",
        "transaction_id": event["transaction_id"] + "-late",
        "occurred_at": event["occurred_at"] - LATE_MS,
    }
    return Item(item.contract, event, item.observed_ms, item.row)
