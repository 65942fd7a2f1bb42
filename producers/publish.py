"""The event SDK: `Publisher` validates, seals, encodes and delivers events of any released contract.

with Publisher(settings, source="checkout") as publisher:
    publisher.publish("commerce.order", {"event_id": "…", "shop_id": "…", …})
    publisher.flush()          # returns when Kafka has everything, raises NotDelivered otherwise
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from caudal.clock import Clock, SystemClock
from caudal.metrics import Metrics
from caudal.settings import Settings
from privacy.seal import Sealer
from privacy.vault import Vault
from producers.delivery import Delivery, OnDelivery
from producers.errors import RecordRefused, UnknownContract
from producers.publish_contracts import Contracts, Feed
from producers.publish_delete import prepare_delete
from producers.publish_prepare import Headers, Origin, Prepared, Recipe, Refused
from producers.settings import ProducersSettings
from producers.validate_values import TYPE, Invalid, to_millis

if TYPE_CHECKING:
    from schemas.distribution import Released

Event = Mapping[str, object]
When = int | datetime | str
"""Epoch milliseconds, an aware datetime, or ISO 8601 text with an offset."""


@dataclass(frozen=True)
class Stats:
    """What a publisher did so far; `refused` by code."""

    prepared: int
    delivered: int
    failed: int
    waiting: int
    flagged: int
    refused: Mapping[str, int]


class Publisher:
    """Publishes events of released contracts. Safe for threads; connects at first use; close it when done."""

    def __init__(
        self,
        settings: Settings,
        *,
        source: str,
        run: str | None = None,
        metrics: Metrics | None = None,
        deadline_s: float | None = None,
        contracts: Contracts | None = None,
        vault: Vault | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`source` and `run` are stamped on every event as its origin; `deadline_s` replaces the setting.

        `contracts`, `vault` and `clock` are for sharing between publishers, and for tests.
        """
        self._settings, self._own = settings, settings.section("producers", ProducersSettings)
        self._source, self._run, self._metrics = source, run, metrics
        self._contracts = contracts or Contracts(_feed(settings), self._own.contract_poll_s)
        self._vault, self._owns_vault = vault, vault is None
        self.clock = clock or SystemClock()
        self._delivery = Delivery(settings, deadline_s)
        self._recipes: dict[tuple[str, int], tuple[Released, Recipe]] = {}
        self._lock = threading.Lock()
        self._prepared, self._flagged, self._refused = 0, 0, Counter[str]()

    def prepare(
        self,
        contract_id: str,
        event: Event,
        *,
        observed_at: When | None = None,
        position: str | None = None,
        version: int | None = None,
        headers: Headers = (),
    ) -> Prepared:
        """The record of one event: validated, judged by the contract's rules, sealed, encoded.

        Times in `event` are epoch milliseconds, aware datetimes or ISO text; money is Decimal, int, text or float.
        Raises RecordRefused (code and field, never the value), UnknownContract, TransientError.
        """
        answer = self.prepare_many(
            contract_id,
            [event],
            observed_at=observed_at,
            positions=[position],
            version=version,
            headers=headers,
        )[0]
        if isinstance(answer, Refused):
            raise answer.error(contract_id)
        return answer

    def prepare_many(
        self,
        contract_id: str,
        events: Sequence[Event],
        *,
        observed_at: When | Sequence[When] | None = None,
        positions: Sequence[str | None] | None = None,
        version: int | None = None,
        headers: Headers = (),
        source: str | None = None,
        run: str | None = None,
    ) -> list[Prepared | Refused]:
        """One answer per event, in order; one transaction of the vault for all.

        `observed_at` is the source's own clock, one for all or one per event; default now. `source` and `run` replace
        the publisher's own. Raises UnknownContract, and TransientError when vault or contracts are away; then none of
        the events was decided on.
        """
        now = self.clock.now_ms()
        observed = _observed(observed_at, now, contract_id)
        origin = Origin(source or self._source, run or self._run, now, observed, positions, headers)
        answers = self._recipe(contract_id, version).prepare(events, origin)
        self._account(contract_id, answers)
        return answers

    def produce(self, prepared: Prepared, on_delivery: OnDelivery | None = None) -> None:
        """Send a prepared record. Raises Unavailable when Kafka takes nothing until the deadline."""
        metrics = self._metrics
        if metrics is None:
            self._delivery.send(prepared, on_delivery)
            return

        def counted(record: Prepared, why: str | None) -> None:
            if why is None:
                metrics.count("caudal_rows_total", stage="kafka", contract=record.contract_id)
                metrics.ages("kafka", [(self.clock.now_ms() - record.published_at) / 1000])
            else:
                metrics.count("caudal_publish_failed_total", reason=why, contract=record.contract_id)
            if on_delivery is not None:
                on_delivery(record, why)

        self._delivery.send(prepared, counted)

    def publish(
        self,
        contract_id: str,
        event: Event,
        *,
        observed_at: When | None = None,
        position: str | None = None,
        version: int | None = None,
        headers: Headers = (),
        on_delivery: OnDelivery | None = None,
    ) -> Prepared:
        """`prepare` and `produce`. The event is safe when `flush` returns, or `on_delivery` was called with None."""
        prepared = self.prepare(
            contract_id, event, observed_at=observed_at, position=position, version=version, headers=headers
        )
        self.produce(prepared, on_delivery)
        return prepared

    def publish_many(
        self,
        contract_id: str,
        events: Sequence[Event],
        *,
        observed_at: When | Sequence[When] | None = None,
        positions: Sequence[str | None] | None = None,
        version: int | None = None,
        headers: Headers = (),
        on_delivery: OnDelivery | None = None,
    ) -> list[Prepared | Refused]:
        """`prepare_many`, then `produce` for every record that fits."""
        answers = self.prepare_many(
            contract_id, events, observed_at=observed_at, positions=positions, version=version, headers=headers
        )
        for answer in answers:
            if isinstance(answer, Prepared):
                self.produce(answer, on_delivery)
        return answers

    def delete(
        self,
        contract_id: str,
        key: Mapping[str, object],
        *,
        sequence: object,
        event_id: str,
        observed_at: When | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> Prepared:
        """Publish the delete of a key: a null value, with event id, sequence and observation as headers.

        `key` holds the contract's key fields; `sequence` is one value or a list, as the contract's `sequence` names
        them. Raises PublishError for an append contract, RecordRefused for a key that does not fit.
        """
        now = self.clock.now_ms()
        observed = _one(observed_at, now, contract_id)
        contract = self._contracts.get(contract_id).contract
        prepared = prepare_delete(contract, key, sequence, event_id, observed, now)
        self._account(contract_id, [prepared])
        self.produce(prepared, on_delivery)
        return prepared

    def flush(self, timeout: float | None = None) -> None:
        """Wait for Kafka's acknowledgement of everything produced. Raises NotDelivered."""
        self._delivery.flush(timeout)

    def close(self) -> None:
        """Release everything. Records that are not acknowledged yet get a last chance of up to five seconds."""
        try:
            if self._delivery.waiting:
                self._delivery.flush(5)
        finally:
            self._delivery.close()
            self._contracts.close()
            if self._owns_vault and self._vault is not None:
                self._vault.close()

    @property
    def stats(self) -> Stats:
        """What this publisher did so far."""
        return Stats(
            prepared=self._prepared,
            delivered=self._delivery.delivered,
            failed=self._delivery.failed,
            waiting=self._delivery.waiting,
            flagged=self._flagged,
            refused=dict(self._refused),
        )

    @property
    def contracts(self) -> Contracts:
        """The released contracts that this publisher knows."""
        return self._contracts

    @property
    def vault(self) -> Vault:
        """The vault that this publisher seals with; opened at first use."""
        with self._lock:
            if self._vault is None:
                self._vault = Vault.open(self._settings)
            return self._vault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _recipe(self, contract_id: str, version: int | None) -> Recipe:
        released = self._contracts.get(contract_id)
        number = version or released.contract.latest.number
        known = self._recipes.get((contract_id, number))
        if known is None or known[0] is not released:
            try:
                recipe = Recipe(released, number, Sealer(self.vault, released.contract), self._own.max_message_bytes)
            except KeyError:
                raise UnknownContract("this version was not released", where=f"{contract_id} v{number}") from None
            known = self._recipes[contract_id, number] = (released, recipe)
        return known[1]

    def _account(self, contract_id: str, answers: Sequence[Prepared | Refused]) -> None:
        refused = Counter(answer.code for answer in answers if isinstance(answer, Refused))
        flagged = sum(1 for answer in answers if isinstance(answer, Prepared) and answer.flags)
        good = len(answers) - refused.total()
        with self._lock:
            self._prepared += good
            self._flagged += flagged
            self._refused.update(refused)
        if self._metrics is not None:
            if good:
                self._metrics.count("caudal_rows_total", good, stage="source", contract=contract_id)
            if flagged:
                self._metrics.count("caudal_check_digits_total", flagged, contract=contract_id)
            for code, n in refused.items():
                self._metrics.count("caudal_rejects_total", n, stage="source", code=code, contract=contract_id)


def _feed(settings: Settings) -> Callable[[], Feed]:
    def open_feed() -> Feed:
        from schemas.distribution import ContractFeed

        return ContractFeed(settings)

    return open_feed


def _observed(given: When | Sequence[When] | None, now: int, contract_id: str) -> int | Sequence[int]:
    if given is None or isinstance(given, int | str | datetime):
        return _one(given, now, contract_id)
    return [_one(when, now, contract_id) for when in given]


def _one(when: When | None, now: int, contract_id: str) -> int:
    try:
        millis: int = now if when is None else to_millis(when)
    except Invalid:
        raise RecordRefused(TYPE, "observed_at", contract=contract_id) from None
    return millis
