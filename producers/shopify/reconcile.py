"""Polls every bound shop once: what no webhook brought is published. Run it every few minutes.

python -m producers.shopify
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import httpx2

from caudal.metrics import Metrics
from caudal.outgoing import Outgoing
from caudal.settings import Settings
from producers.connector import Puller, Report, States, sealed
from producers.intake.shopify_inbox import Inbox
from producers.publish import Publisher
from producers.rejected import Rejected
from producers.settings import ProducersSettings
from producers.shopify.bindings import Binding
from producers.shopify.poll import ShopPoll

TIMEOUT_S = 10.0


class Reconciler:
    """The parts that polls share. Close it when done; publisher and states are the caller's."""

    def __init__(
        self, settings: Settings, publisher: Publisher, states: States, metrics: Metrics, stop: threading.Event
    ) -> None:
        self._publisher, self._states, self._metrics, self._stop = publisher, states, metrics, stop
        self._inbox = Inbox.of(settings)
        self._client, self._outgoing = httpx2.Client(timeout=TIMEOUT_S), Outgoing("shopify-poll", metrics=metrics)
        self._refuse = sealed(Rejected(publisher, settings.section("producers", ProducersSettings)))

    def poll(self, bindings: Iterable[Binding]) -> dict[str, Report]:
        """One poll of each shop, by shop id. Raises what the shop, the broker or the vault raise."""
        return {binding.shop_id: self._poll(binding) for binding in bindings if not self._stop.is_set()}

    def close(self) -> None:
        """Close connections and the inbox."""
        self._client.close()
        self._inbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _poll(self, binding: Binding) -> Report:
        source = ShopPoll(
            binding, self._client, self._outgoing, fields=self._fields, known=self._inbox.sent, stop=self._stop
        )
        report = Puller(source, self._publisher, self._states, refuse=self._refuse, metrics=self._metrics).run()
        self._metrics.count("caudal_reconciled_total", report.published, shop=binding.shop_id)
        self._metrics.count("caudal_throttled_total", source.throttled, shop=binding.shop_id)
        return report

    def _fields(self, contract: str) -> set[str]:
        return {field["name"] for field in self._publisher.contracts.get(contract).contract.latest.avsc["fields"]}
