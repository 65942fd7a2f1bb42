"""How the proof of isolation reaches the web process: over HTTP when it runs, else its routes inside this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from caudal.metrics import Metrics
from caudal.settings import Settings

# What changes from one moment to the next without saying anything about a tenant.
MOVING = frozenset({"age_s", "at"})
MOST_WAIT_S = 5.0


@dataclass(frozen=True)
class Reply:
    """An answer: its body as JSON where it is JSON, else as text."""

    status: int
    body: Any

    def like(self, other: Reply) -> bool:
        """Whether both say the same, ages aside."""
        return (self.status, _still(self.body)) == (other.status, _still(other.body))

    def strings(self) -> set[str]:
        """Every string in the body, keys included."""
        found: set[str] = set()
        waiting = [self.body]
        while waiting:
            part = waiting.pop()
            if isinstance(part, dict):
                found.update(part)
                waiting.extend(part.values())
            elif isinstance(part, list):
                waiting.extend(part)
            elif isinstance(part, str):
                found.add(part)
        return found


class Client(Protocol):
    """What `httpx2.Client` and the test client have in common."""

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None, follow_redirects: bool
    ) -> Any: ...


class Caller:
    """Makes requests and counts them; waits when a rate says so."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.made = 0

    def __call__(self, method: str, path: str, token: str = "") -> Reply:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if method != "GET":
            headers["Content-Type"] = "application/json"
        body = b"{}" if method != "GET" else None
        until = time.monotonic() + 60
        while True:
            answer = self._client.request(method, path, headers=headers, content=body, follow_redirects=False)
            if answer.status_code != 429 or time.monotonic() > until:
                break
            time.sleep(min(MOST_WAIT_S, float(answer.headers.get("Retry-After", "1"))))
        self.made += 1
        try:
            return Reply(answer.status_code, answer.json())
        except ValueError:
            return Reply(answer.status_code, answer.text)


@contextmanager
def reach(settings: Settings, token: str) -> Iterator[tuple[Caller, str]]:
    """A caller and how it calls. The running server counts as ours when it knows `token`, made a moment ago."""
    import httpx2

    host = "127.0.0.1" if settings.web.host in ("0.0.0.0", "::", "") else settings.web.host
    base = f"http://{host}:{settings.web.port}"
    with httpx2.Client(base_url=base, timeout=10, trust_env=False) as client:
        if _ours(client, token):
            yield Caller(client), "against the running web process"
            return
    with _inside(settings) as caller:
        yield caller, "inside this process, because no web process runs"


def _ours(client: Any, token: str) -> bool:
    import httpx2

    try:
        if client.get("/healthz", timeout=2).status_code != 200:
            return False
        answer = client.get("/v1/gold", headers={"Authorization": f"Bearer {token}"})
    except httpx2.HTTPError:
        return False
    return bool(answer.status_code in (200, 429, 503))


@contextmanager
def _inside(settings: Settings) -> Iterator[Caller]:
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from serving.api import app as api
    from serving.dashboard import app as dashboard

    metrics = Metrics("verify")
    mounted = [part.build(settings, metrics) for part in (api, dashboard)]
    app = FastAPI(docs_url=None, redoc_url=None)
    for part in mounted:
        app.include_router(part.router)
    try:
        # a host of its own: the test client's peer is no loopback address
        yield Caller(TestClient(app))
    finally:
        for part in mounted:
            part.close()


def _still(body: object) -> object:
    if isinstance(body, dict):
        return {k: _still(v) for k, v in body.items() if k not in MOVING}
    if isinstance(body, list):
        return [_still(v) for v in body]
    return body
