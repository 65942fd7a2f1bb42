"""Plays the users of a software service: one tenant's events a request, pushed over HTTP with that tenant's token."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import httpx2

from caudal import log
from caudal.clock import Clock
from caudal.metrics import Metrics
from caudal.tokens import TokenStore
from producers.connector import States
from producers.simulate.clock import Pace
from producers.simulate.faults import DUP_SHARE, LATE_SHARE, Faults
from producers.simulate.product import CONTRACT, Tenant, Usage, late
from producers.simulate.settings import SimulateSettings

STATE = "simulate:product"
TOKEN_LIFETIME_S = 24 * 3600.0
TIMEOUT_S = 30.0
RETRY_S = 2.0


class Tokens:
    """One ingest token a tenant, made at first use and revoked at the end."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store
        self._issued: dict[str, str] = {}

    def of(self, tenant: Tenant) -> str:
        """The tenant's token."""
        if tenant.id not in self._issued:
            self._issued[tenant.id] = self._store.issue("ingest", tenant.id, (CONTRACT,), lifetime_s=TOKEN_LIFETIME_S)
        return self._issued[tenant.id]

    def forget(self, tenant: Tenant) -> None:
        """Make a new one next time: this one was refused."""
        self._issued.pop(tenant.id, None)

    def close(self) -> None:
        """Revoke all of them."""
        for token in self._issued.values():
            self._store.revoke(token)
        self._store.close()


class ProductPlayer:
    """One thread's work: `run` returns when told to stop."""

    def __init__(
        self,
        settings: SimulateSettings,
        usage: Usage,
        tokens: Callable[[], Tokens],
        intake_url: str,
        clock: Clock,
        run: str,
        states: States,
        faults: Faults,
        metrics: Metrics,
    ) -> None:
        self._settings, self._usage, self._tokens = settings, usage, tokens
        self._url = f"{intake_url.rstrip('/')}/v1/events/{CONTRACT}"
        self._clock, self._run, self._states, self._faults, self._metrics = clock, run, states, faults, metrics
        self._pace = Pace(settings.product_per_s)
        self._draw = random.Random(settings.seed)
        self._log = log.get("simulate.product")

    def run(self, stop: threading.Event) -> None:
        """Play until told to stop."""
        number = int((self._states.load(STATE) or {}).get("number", 0))
        tokens = self._tokens()
        try:
            with httpx2.Client(timeout=TIMEOUT_S) as client:
                while not stop.wait(self._pace.wait_s(self._settings.product_batch)):
                    now_ms = self._clock.now_ms()
                    tenant, events = self._usage.batch(number, self._settings.product_batch, now_ms)
                    self._push(client, tokens, tenant, [*events, *self._mischief(events)], now_ms, stop)
                    number += 1
                    self._states.save(STATE, {"number": number, "now_ms": now_ms})
        finally:
            tokens.close()

    def _mischief(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        extra: list[dict[str, Any]] = []
        if self._faults.on("dup"):
            extra += [event for event in events if self._draw.random() < DUP_SHARE]
        if self._faults.on("late"):
            extra += [late(event) for event in events if self._draw.random() < LATE_SHARE]
        return extra

    def _push(
        self,
        client: httpx2.Client,
        tokens: Tokens,
        tenant: Tenant,
        events: list[dict[str, Any]],
        now_ms: int,
        stop: threading.Event,
    ) -> None:
        """Push until there is an answer: event ids make the same request harmless."""
        while not stop.is_set():
            status = self._post(client, tokens.of(tenant), events, now_ms)
            self._metrics.count("caudal_pushes_total", status=str(status))
            if status in (200, 207):
                return
            if status == 401:
                tokens.forget(tenant)
            elif 400 <= status < 500 and status != 429:
                self._log.warning("refused", status=status)
                return
            stop.wait(RETRY_S)

    def _post(self, client: httpx2.Client, token: str, events: list[dict[str, Any]], now_ms: int) -> int:
        headers = {
            "Authorization": f"Bearer {token}",
            "Caudal-Observed-At": str(now_ms),
            "Caudal-Source": f"simulator:product:x{self._settings.product_factor}",
            "Caudal-Run": self._run,
        }
        try:
            return client.post(self._url, json=events, headers=headers).status_code
        except httpx2.TransportError:
            return 0
