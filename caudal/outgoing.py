"""One policy for outgoing calls: bounded retries, a deadline, and a circuit breaker per host.

What is retried is decided by type: only TransientError and the transport errors that the caller names. An open breaker
answers at once with CircuitOpen, so that a dead host costs nothing; its state is a gauge (0 closed, 1 open).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

import stamina
from purgatory import SyncCircuitBreakerFactory
from purgatory.domain.model import OpenedState

from caudal.errors import TransientError
from caudal.metrics import Metrics

P = ParamSpec("P")
T = TypeVar("T")


class CircuitOpen(TransientError):
    """The host failed several times in a row and is left alone for a while."""

    code = "CDL-CIRCUIT-OPEN"


@dataclass(frozen=True)
class Policy:
    """`deadline_s` bounds all attempts together; a breaker opens after `threshold` failed calls for `rest_s`."""

    attempts: int = 4
    deadline_s: float = 10.0
    first_wait_s: float = 0.2
    threshold: int = 5
    rest_s: float = 15.0


class Outgoing:
    """Calls of one component to other hosts."""

    def __init__(
        self,
        component: str,
        policy: Policy | None = None,
        *,
        retry_on: tuple[type[Exception], ...] = (TransientError, ConnectionError, TimeoutError),
        metrics: Metrics | None = None,
    ) -> None:
        self._component = component
        self._policy = policy or Policy()
        self._retry_on = retry_on
        self._metrics = metrics
        self._lock = threading.Lock()
        self._breakers = SyncCircuitBreakerFactory(
            default_threshold=self._policy.threshold, default_ttl=self._policy.rest_s
        )

    def call(self, host: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work`, retrying what may pass; raises CircuitOpen, or the last error of `work`."""
        policy = self._policy
        try:
            for attempt in stamina.retry_context(
                on=self._retryable,
                attempts=policy.attempts,
                timeout=policy.deadline_s,
                wait_initial=policy.first_wait_s,
            ):
                with attempt:
                    result = self._once(host, work, *args, **kwargs)
        finally:
            self._report(host)
        return result

    def _retryable(self, error: Exception) -> bool:
        return isinstance(error, self._retry_on) and not isinstance(error, CircuitOpen)

    def _once(self, host: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            with self._breakers.get_breaker(host):
                return work(*args, **kwargs)
        except OpenedState as error:
            raise CircuitOpen(
                f"{host} is left alone for a while",
                retry_after=self._policy.rest_s,
                where=self._component,
                why="it failed several times in a row",
                fix=f"check that {host} is up; the breaker closes by itself",
            ) from error

    def _report(self, host: str) -> None:
        if self._metrics is not None:
            state = self._breakers.get_breaker(host).context.state
            opened = 0.0 if state == "closed" else 1.0
            self._metrics.gauge("caudal_breaker_open", opened, component=self._component, host=host)
