"""Readiness: each dependency is asked one cheap real question, side by side, and answers with its milliseconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from typing import Any

from caudal.lake import Lake
from caudal.settings import Settings

# A readiness page is polled by many; answers this young are given again.
KEEP_S = 1.0


@dataclass(frozen=True)
class Answer:
    """What one dependency said. `ms` is how long it took; `why` is empty when it is well."""

    ok: bool
    ms: float
    why: str = ""

    def record(self) -> dict[str, Any]:
        return {"ok": self.ok, "ms": self.ms, **({"why": self.why} if self.why else {})}


class Health:
    """Asks every dependency. A probe returns when all is well and raises when it is not."""

    def __init__(self, probes: Mapping[str, Callable[[], None]], deadline_s: float) -> None:
        self._probes, self._deadline_s = dict(probes), deadline_s
        self._pool = ThreadPoolExecutor(max_workers=2 * max(1, len(self._probes)), thread_name_prefix="probe")
        self._pending: dict[str, Future[Answer]] = {}
        self._lock = threading.Lock()
        self._kept: tuple[float, dict[str, Answer]] | None = None

    def ask(self) -> dict[str, Answer]:
        """All answers; one that does not come within the deadline counts as no."""
        with self._lock:
            if self._kept and time.monotonic() - self._kept[0] < KEEP_S:
                return self._kept[1]
            started = time.monotonic()
            for name, probe in self._probes.items():
                # a probe that still hangs is not asked again: its late answer is this round's
                if name not in self._pending:
                    self._pending[name] = self._pool.submit(_timed, probe)
            answers: dict[str, Answer] = {}
            for name in self._probes:
                left = max(0.0, self._deadline_s - (time.monotonic() - started))
                try:
                    answers[name] = self._pending[name].result(timeout=left)
                    del self._pending[name]
                except Late:
                    answers[name] = Answer(False, self._deadline_s * 1000, "no answer in time")
            self._kept = (time.monotonic(), answers)
            return answers

    def close(self) -> None:
        """Stop asking; a probe that hangs is left to its own timeout."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _timed(probe: Callable[[], None]) -> Answer:
    started = time.perf_counter()
    try:
        probe()
    except Exception as error:  # noqa: BLE001  whatever a client library raises means the same here: not ready
        return Answer(False, _ms(started), type(error).__name__)
    return Answer(True, _ms(started))


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def probes(settings: Settings, lake: Lake, deadline_s: float) -> dict[str, Callable[[], None]]:
    """The dependencies of an install: broker, registry, feature store, lake. Clients are made at first use."""
    patience = deadline_s * 0.8  # the client gives up before we do, so that its reason is heard
    return {
        "kafka": _kafka(settings, patience),
        "registry": _registry(settings, patience),
        "redis": _redis(settings, patience),
        "lake": lambda: _lake(lake),
    }


def _kafka(settings: Settings, deadline_s: float) -> Callable[[], None]:
    made: list[Any] = []

    def probe() -> None:
        if not made:
            import logging

            from confluent_kafka.admin import AdminClient

            # the answer says that the broker is away; the client's own lines about it would flood the log
            quiet = logging.getLogger("caudal.probe.kafka")
            quiet.disabled = True
            conf = {**settings.kafka.security, "bootstrap.servers": settings.kafka.bootstrap, "log_level": 0}
            made.append(AdminClient(conf, logger=quiet))
        made[0].list_topics(timeout=deadline_s)

    return probe


def _registry(settings: Settings, deadline_s: float) -> Callable[[], None]:
    def probe() -> None:
        import httpx2

        auth = settings.registry.auth.get_secret_value()
        user, _, password = auth.partition(":")
        answer = httpx2.get(
            f"{settings.registry.url.rstrip('/')}/subjects",
            timeout=deadline_s,
            auth=(user, password) if auth else None,
            trust_env=False,
        )
        answer.raise_for_status()

    return probe


def _redis(settings: Settings, deadline_s: float) -> Callable[[], None]:
    made: list[Any] = []

    def probe() -> None:
        if not made:
            import redis

            made.append(
                redis.Redis.from_url(
                    settings.redis.url.get_secret_value(),
                    socket_timeout=deadline_s,
                    socket_connect_timeout=deadline_s,
                )
            )
        made[0].ping()

    return probe


def _lake(lake: Lake) -> None:
    lake.read_bytes("_manifest/current.json")
