"""The API's routes, wired to the install's lake, tokens and metrics."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from caudal import tokens
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.metrics import Metrics, read_all
from caudal.settings import Settings
from caudal.tokens import Principal
from caudal.web import Mounted
from serving.api import exposition, openapi, status
from serving.api.admit import Gate, Resolver
from serving.api.ask import Ask, from_body, from_parameters
from serving.api.errors import NotPublished, TooLarge
from serving.api.gold import Gold, Mart, Reader
from serving.api.health import Health, probes
from serving.api.oidc import Either, OidcSettings, Provider
from serving.api.pages import Pages, Wanted
from serving.api.rates import Rates
from serving.api.route import coded
from serving.api.settings import ApiSettings
from serving.api.stream import Streams
from serving.api.usage import Usage, Used

READERS = ("reader", "operator")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Api:
    """What the routes share. One per web process."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.limits = limits = settings.section("serving.api", ApiSettings)
        self.lake = Lake.open(settings)
        self.tokens = tokens.open_store(settings.data_dir)
        self.usage = Usage(settings.data_dir / "usage.sqlite")
        self.gate = Gate(
            self._resolver(),
            Rates(limits.rate_per_s, limits.burst),
            Rates(limits.tenant_rate_per_s, limits.tenant_burst),
            self._quota,
        )
        self.reader = Reader(self.lake, groups=limits.groups, open_tables=limits.open_tables)
        self.pages = Pages(self.reader, limits)
        self.streams = Streams(self.reader, limits)
        self.health = Health(probes(settings, self.lake, limits.probe_s), limits.probe_s)

    def close(self) -> None:
        """Let go of files and threads."""
        self.streams.close()
        self.health.close()
        self.usage.close()
        self.tokens.close()

    def _resolver(self) -> Resolver:
        oidc = self.settings.section("serving.api.oidc", OidcSettings)
        return Either(self.tokens.resolve, Provider(oidc)) if oidc.issuer else self.tokens

    def _quota(self, tenant: str) -> int:
        """Seconds until the tenant may ask again; 0 while its day is not used up."""
        limits = self.limits
        if not limits.daily_requests and not limits.daily_rows:
            return 0
        used = self.usage.today(tenant)
        over = 0 < limits.daily_requests <= used.requests or 0 < limits.daily_rows <= used.rows
        return self.usage.seconds_left() if over else 0

    def used(self, tenant: str, answer: Response, seconds: float) -> None:
        """Count an answer for its tenant."""
        self.usage.add(
            tenant,
            Used(
                requests=1,
                refused=int(400 <= answer.status_code < 500),
                rows=int(answer.headers.get("X-Caudal-Rows", "0")),
                bytes=int(answer.headers.get("Content-Length", "0")),
                seconds=seconds,
            ),
        )

    def marts(self, request: Request) -> Response:
        """List published marts with version, rows and age."""
        who = self.gate.admit(request, *READERS)
        gold, now = self.reader.current(), time.time()
        return JSONResponse({"manifest": gold.number, "marts": [self._mart(m, who, now) for m in _served(gold)]})

    def _mart(self, mart: Mart, who: Principal, now: float) -> dict[str, Any]:
        table = self.reader.open(mart.path, mart.version, mart.table_id)
        return {
            "mart": mart.name,
            "group": mart.group,
            "version": mart.version,
            "age_s": status.age_s(mart.published_ms, now),
            "rows": self.reader.count(mart, who.tenant),
            "columns": {c.name: c.kind for c in self.reader.columns(table)},
        }

    def rows(self, request: Request, mart: str) -> Response:
        """One page of a mart: the token's tenant only, from exactly the published version."""
        who = self.gate.admit(request, *READERS)
        ask = from_parameters(request.query_params.multi_items())
        return self.pages.page(who, mart, ask, _wanted(request, ask))

    def row(self, request: Request, mart: str, column: str, value: str) -> Response:
        """The row of a mart whose column has this value, for example an order by its id; 404 if the tenant has none."""
        who = self.gate.admit(request, *READERS)
        return self.pages.row(who, mart, from_parameters([(f"{column}.eq", value)]))

    async def query(self, request: Request) -> Response:
        """One page of the mart that the body names. The token is looked at before the body."""
        who = await run_in_threadpool(self.gate.admit, request, *READERS)
        mart, ask = from_body(await _read(request, self.limits.max_question_bytes))
        return await run_in_threadpool(self.pages.page, who, mart, ask, _wanted(request, ask))

    async def stream(self, request: Request, mart: str, most: int | None) -> Response:
        """The changes of a mart as they are published."""
        who = await run_in_threadpool(self.gate.admit, request, *READERS)
        last = request.headers.get("last-event-id", "")
        events = self.streams.events(who, mart, last, lambda: self.gate.still(request), most or math.inf)
        # asked for here, so that a refusal is an answer of its own and not the end of a stream
        first = await anext(events)
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(_bytes(first, events), media_type="text/event-stream", headers=headers)

    def own_usage(self, request: Request) -> Response:
        """What the token's tenant has asked for, by day, and its limits; an operator sees all tenants."""
        who = self.gate.admit(request, *READERS)
        limits = self.limits
        bounds = {name: getattr(limits, name) for name in ("tenant_rate_per_s", "daily_requests", "daily_rows")}
        return JSONResponse({"limits": bounds, "days": self.usage.days(who.tenant, 31 if who.tenant else 1000)})

    def status(self, request: Request) -> Response:
        """The state of the install: stages, processes, breakers, alarms, quality, gold. Operators only."""
        self.gate.admit(request, "operator")
        return Response(
            status.flat(status.collect(self.settings, self.lake, self.reader)), media_type="application/json"
        )

    def readyz(self) -> Response:
        """Whether every dependency answers, each with its milliseconds and, if not, the reason."""
        answers = self.health.ask()
        ready = all(a.ok for a in answers.values())
        reasons = [f"{name}: {a.why}" for name, a in answers.items() if not a.ok]
        body = {
            "ready": ready,
            "dependencies": {name: a.record() for name, a in answers.items()},
            **({"reason": "; ".join(reasons)} if reasons else {}),
        }
        return JSONResponse(body, 200 if ready else 503, {} if ready else {"Retry-After": "5"})

    def exposition(self, request: Request) -> Response:
        """Numbers of all processes for Prometheus.

        They are sums over all tenants, so a tenant could subtract its own: an operator's token is needed, save for
        a scrape without any token from this machine to a server that only this machine can reach.
        """
        peer = request.client.host if request.client else ""
        local = self.settings.web.host in LOOPBACK and peer in LOOPBACK
        if "authorization" in request.headers or not local:
            self.gate.admit(request, "operator")
        try:
            gold = self.reader.current()
        except (NotPublished, TransientError):
            gold = None
        page = exposition.render(read_all(self.settings.run_dir / "metrics"), gold)
        return PlainTextResponse(page, media_type=exposition.CONTENT_TYPE)


def _wanted(request: Request, ask: Ask) -> Wanted:
    return Wanted.of(ask, request.headers.get("accept", ""), request.headers.get("if-none-match", ""))


async def _read(request: Request, most: int) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise TooLarge("the question is too large", why=f"more than {most} bytes")
    return body


async def _bytes(first: str, events: AsyncIterator[str]) -> AsyncIterator[bytes]:
    yield first.encode()
    async for event in events:
        yield event.encode()


def _served(gold: Gold) -> list[Mart]:
    return sorted(gold.marts.values(), key=lambda m: m.name)


def about() -> dict[str, str]:
    """Name and version of what runs."""
    try:
        return {"name": "caudal", "version": version("caudal")}
    except PackageNotFoundError:
        return {"name": "caudal", "version": "0+unknown"}


def build(settings: Settings, metrics: Metrics) -> Mounted:
    """The API's router. Nothing is connected before the first request that needs it."""
    api = Api(settings, metrics)
    router = APIRouter(route_class=coded(metrics, api.used))

    @router.get("/v1/gold", tags=["gold"], summary="List published marts", responses=openapi.errors("503"))
    def marts(request: Request) -> Response:
        return api.marts(request)

    @router.get(
        "/v1/gold/{mart}",
        tags=["gold"],
        summary="A page of a mart, or an aggregate of it",
        description="Further parameters filter: `column=value`, `column.gte=value` (eq, ne, gt, gte, lt, lte), "
        "`column.in=a,b`, `column.null=true`.",
        openapi_extra=openapi.parameters(),
        responses=openapi.page(),
    )
    def rows(request: Request, mart: str) -> Response:
        return api.rows(request, mart)

    @router.get(
        "/v1/gold/{mart}/{column}/{value}",
        tags=["gold"],
        summary="One row by the value of a column",
        responses=openapi.errors("400", "404", "503"),
    )
    def row(request: Request, mart: str, column: str, value: str) -> Response:
        return api.row(request, mart, column, value)

    @router.post(
        "/v1/query",
        tags=["gold"],
        summary="The same as a structured question",
        openapi_extra=openapi.body(),
        responses=openapi.page(),
    )
    async def query(request: Request) -> Response:
        return await api.query(request)

    @router.get(
        "/v1/stream/{mart}",
        tags=["gold"],
        summary="Changes of a mart as server-sent events",
        description="Events: start, change (rows added and removed), reset (read the pages again), version "
        "(operators). An event's id is the ETag of the version; `Last-Event-ID` resumes after it.",
        responses={
            **openapi.errors("400", "503"),
            "200": {"description": "events", "content": {"text/event-stream": {}}},
        },
    )
    async def stream(
        request: Request,
        mart: str,
        events: Annotated[int | None, Query(ge=1, description="end the stream after so many events")] = None,
    ) -> Response:
        return await api.stream(request, mart, events)

    @router.get("/v1/usage", tags=["operations"], summary="What this tenant has asked for", responses=openapi.errors())
    def usage(request: Request) -> Response:
        return api.own_usage(request)

    @router.get(
        "/v1/status",
        tags=["operations"],
        summary="State of the install (operators)",
        responses=openapi.errors(),
    )
    def state(request: Request) -> Response:
        return api.status(request)

    @router.get("/healthz", tags=["operations"], summary="The process is alive")
    def healthz() -> Response:
        return JSONResponse({"ok": True})

    @router.get("/readyz", tags=["operations"], summary="Every dependency answers")
    def readyz() -> Response:
        return api.readyz()

    @router.get("/version", tags=["operations"], summary="What runs")
    def running() -> Response:
        return JSONResponse(about())

    @router.get("/metrics", tags=["operations"], summary="Prometheus text", response_class=PlainTextResponse)
    def prometheus(request: Request) -> Response:
        return api.exposition(request)

    return Mounted(router, api.close)
