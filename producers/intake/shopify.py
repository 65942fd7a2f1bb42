"""Shopify's webhook receiver: `POST /webhooks/shopify/{path_secret}`. The steps of a delivery, in order:

size (413) → which shop (by the unguessable path, else 404) → signature over the raw bytes (401, nothing kept) → shop
header → inbox (`pending`; a repetition is answered as before) → JSON → map → validate, seal, produce → Kafka's
acknowledgement → inbox (`sent`) → 200.

Authentic deliveries that do not fit are answered 4xx with code and field and kept sealed on `caudal.rejected`, because
a shop will not send anything else. Without an acknowledgement the answer is 503 and the inbox stays `pending`, so the
shop's repetition is sent again. A shop hangs up after 5 seconds: every answer comes before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from caudal import log
from caudal.errors import CaudalError, TransientError
from caudal.fault import crashpoint
from producers.intake import body as bodies
from producers.intake.errors import HttpRefused, busy
from producers.intake.shopify_hook import Hook, admit
from producers.intake.shopify_inbox import Delivery, Inbox
from producers.intake.shopify_send import Sender, Sent
from producers.shopify.bindings import Bindings

if TYPE_CHECKING:
    from caudal.metrics import Metrics
    from caudal.settings import Settings
    from producers.publish import Publisher
    from producers.rejected import Rejected

# Shopify gives 5 s in all; half a second is left for the way there and back.
DEADLINE_S = 4.5


def build_router(
    settings: Settings, publisher: Publisher, rejected: Rejected, metrics: Metrics | None = None
) -> APIRouter:
    """The receiver's route. Nothing is opened before the first delivery."""
    receiver = Receiver(settings, publisher, rejected, metrics)
    routes = APIRouter()

    @routes.post("/webhooks/shopify/{path_secret}", include_in_schema=False)
    async def receive(path_secret: str, request: Request) -> Response:
        try:
            return await receiver.receive(path_secret, request)
        except HttpRefused as error:
            return JSONResponse(error.body(), error.status, error.headers)
        except ClientDisconnect:
            return Response(status_code=400)

    return routes


class Receiver:
    """The deliveries of all bound shops. Lives on one event loop; blocking work runs in threads."""

    def __init__(
        self, settings: Settings, publisher: Publisher, rejected: Rejected, metrics: Metrics | None = None
    ) -> None:
        self._settings, self._limit = settings, settings.web.max_body_bytes
        self._bindings = Bindings(settings.data_dir)
        self._sender, self._metrics = Sender(publisher, rejected, metrics), metrics
        self._inbox: Inbox | None = None
        self._opening = threading.Lock()
        self._flying: dict[tuple[str, str], asyncio.Future[Delivery]] = {}

    async def receive(self, path_secret: str, request: Request) -> Response:
        """Answer one delivery. Raises HttpRefused."""
        content = await bodies.read(request.stream(), request.headers.get("content-length"), self._limit)
        hook = await run_in_threadpool(self._admit, path_secret, request, content)
        if hook is None:
            # Exactly what the application says about a path that it does not have.
            return JSONResponse({"detail": "Not Found"}, 404)
        flying = self._flying.get(hook.key)
        if flying is not None:
            # The same delivery is under way: its answer is this one's answer.
            return _answer(await asyncio.shield(flying))
        return _answer(await self._fly(hook))

    async def _fly(self, hook: Hook) -> Delivery:
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        self._flying[hook.key] = future
        verdict = Delivery("pending", 503, "CDL-NOT-DELIVERED")
        try:
            verdict = await asyncio.wait_for(self._process(hook), DEADLINE_S)
        except TimeoutError:
            log.get("shopify").warning("not_acknowledged", code=verdict.code)
        except CaudalError as error:
            # Vault, contracts or broker are away, or the contract is not released yet: the shop comes again.
            log.get("shopify").warning("not_acknowledged", code=error.code)
            verdict = Delivery("pending", 503, error.code)
        finally:
            del self._flying[hook.key]
            future.set_result(verdict)
        return verdict

    async def _process(self, hook: Hook) -> Delivery:
        inbox = await run_in_threadpool(self._open)
        before = await run_in_threadpool(inbox.claim, hook.shop_id, hook.delivery_id, hook.received_ms)
        crashpoint("shopify.claimed")
        if before is not None and before.state != "pending":
            if self._metrics is not None:
                self._metrics.count("caudal_webhook_repeats_total")
            return before
        answered = _Answered()
        at_ms = before.at_ms if before is not None else hook.received_ms
        sent: Sent = await run_in_threadpool(self._sender.send, hook, at_ms, answered)
        if sent.waits and (why := await answered.future) is not None:
            raise TransientError("Kafka did not take the record", why=why, code="CDL-NOT-DELIVERED")
        crashpoint("shopify.acknowledged")
        await run_in_threadpool(inbox.settle, hook.shop_id, hook.delivery_id, sent.verdict, sent.event_id)
        return sent.verdict

    def _admit(self, path_secret: str, request: Request, content: bytes) -> Hook | None:
        binding = self._bindings.find(path_secret)
        if binding is None:
            return None
        try:
            return admit(binding, request.headers, content)
        except HttpRefused as error:
            # Counted and no more: forged deliveries may come by the thousand.
            if self._metrics is not None:
                self._metrics.count("caudal_rejects_total", stage="source", code=error.code, contract="")
            raise

    def _open(self) -> Inbox:
        with self._opening:
            if self._inbox is None:
                self._inbox = Inbox.of(self._settings)
            return self._inbox


class _Answered:
    """Carries Kafka's answer from the delivery thread to the event loop: None, or the name of an error."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[str | None] = self._loop.create_future()

    def __call__(self, _: object, why: str | None) -> None:
        # The loop is closed when the process stops before Kafka answers; nobody waits any more then.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._set, why)

    def _set(self, why: str | None) -> None:
        if not self.future.done():
            self.future.set_result(why)


def _answer(verdict: Delivery) -> Response:
    if verdict.state == "pending":
        error = busy("not acknowledged yet; send it again", 5, verdict.code)
        return JSONResponse(error.body(), error.status, error.headers)
    if verdict.status == 200:
        return JSONResponse({"status": "accepted", **({"code": verdict.code} if verdict.code else {})})
    return JSONResponse({"code": verdict.code, **({"path": verdict.path} if verdict.path else {})}, verdict.status)
