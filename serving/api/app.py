"""The API's routes, wired to the install's lake, tokens and metrics."""

from __future__ import annotations

import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from caudal import tokens
from caudal.errors import TransientError
from caudal.lake import Lake
from caudal.metrics import Metrics, read_all
from caudal.settings import Settings
from caudal.tokens import Principal
from caudal.web import Mounted
from serving.api import answer, exposition, status
from serving.api.admit import Gate
from serving.api.cursor import Cursors, Place, binding
from serving.api.errors import BadQuery, NotPublished, NotThere
from serving.api.gold import Gold, Mart, Reader
from serving.api.health import Health, probes
from serving.api.query import Query, parse
from serving.api.rates import Rates
from serving.api.route import coded
from serving.api.scope import select
from serving.api.settings import ApiSettings

READERS = ("reader", "operator")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Api:
    """What the routes share. One per web process."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.limits = settings.section("serving.api", ApiSettings)
        self.lake = Lake.open(settings)
        self.tokens = tokens.open_store(settings.data_dir)
        self.gate = Gate(self.tokens, Rates(self.limits.rate_per_s, self.limits.burst))
        self.reader = Reader(self.lake, groups=self.limits.groups, open_tables=self.limits.open_tables)
        self.cursors = Cursors(self.limits.cursor_key.get_secret_value())
        self.health = Health(probes(settings, self.lake, self.limits.probe_s), self.limits.probe_s)

    def close(self) -> None:
        """Let go of files and threads."""
        self.health.close()
        self.tokens.close()

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
        found, now = self.reader.current().mart(mart), time.time()
        given = list(request.query_params.multi_items())
        bound = binding(who.tenant, [p for p in given if p[0] not in ("cursor", "limit")])
        place = Place(found.name, found.path, found.version, found.published_ms, 0, bound, now + self.limits.cursor_s)
        if text := request.query_params.get("cursor", ""):
            place = self.cursors.read(text, mart=mart, bound=bound, now=now)
        etag = found.etag if place.version == found.version else f'W/"{mart}.{place.version}"'
        if etag in request.headers.get("if-none-match", "").split(", "):
            return Response(status_code=304, headers={"ETag": etag})
        table = self.reader.open(place.path, place.version, found.table_id if place.path == found.path else "")
        query = parse(
            given, self.reader.columns(table), default_limit=self.limits.default_limit, max_limit=self.limits.max_limit
        )
        query = Query(query.columns, query.filters, query.order, query.limit, place.offset)
        page = answer.rows(select(table, who.tenant, query.sql(extra=1)))
        following = None
        if len(page) > query.limit:
            following = self.cursors.write(
                Place(
                    mart,
                    place.path,
                    place.version,
                    place.published_ms,
                    place.offset + query.limit,
                    bound,
                    place.expires,
                )
            )
        body = {
            "table": mart,
            "version": place.version,
            "age_s": status.age_s(place.published_ms, now),
            "rows": page[: query.limit],
            "next_cursor": following,
        }
        return JSONResponse(body, headers={"ETag": etag})

    def row(self, request: Request, mart: str, column: str, value: str) -> Response:
        """The row of a mart whose column has this value, for example an order by its id; 404 if the tenant has none."""
        who = self.gate.admit(request, *READERS)
        found, now = self.reader.current().mart(mart), time.time()
        table = self.reader.open(found.path, found.version, found.table_id)
        query = parse([(column, value), ("limit", "2")], self.reader.columns(table), default_limit=2, max_limit=2)
        page = answer.rows(select(table, who.tenant, query.sql()))
        if not page:
            raise NotThere
        if len(page) > 1:
            raise BadQuery("more than one row has this value", where=column, fix=f"GET /v1/gold/{mart}?{column}=…")
        body = {"table": mart, "version": found.version, "age_s": status.age_s(found.published_ms, now), "row": page[0]}
        return JSONResponse(body, headers={"ETag": found.etag})

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


# Read by `query.parse`, because every column of the mart is a parameter too.
PARAMETERS = {
    "limit": "rows of a page",
    "cursor": "next_cursor of the page before",
    "columns": "columns to show, separated by commas",
    "order": "columns to order by, separated by commas; a leading - turns one around",
}


def _parameter(name: str, text: str) -> dict[str, object]:
    return {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}


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
    router = APIRouter(route_class=coded(metrics))

    @router.get("/v1/gold", tags=["gold"], summary="List published marts")
    def marts(request: Request) -> Response:
        return api.marts(request)

    @router.get(
        "/v1/gold/{mart}",
        tags=["gold"],
        summary="A page of a mart",
        description="Further parameters filter: `column=value`, `column.gte=value` (eq, ne, gt, gte, lt, lte).",
        openapi_extra={"parameters": [_parameter(name, text) for name, text in PARAMETERS.items()]},
    )
    def rows(request: Request, mart: str) -> Response:
        return api.rows(request, mart)

    @router.get("/v1/gold/{mart}/{column}/{value}", tags=["gold"], summary="One row by the value of a column")
    def row(request: Request, mart: str, column: str, value: str) -> Response:
        return api.row(request, mart, column, value)

    @router.get("/v1/status", tags=["operations"], summary="State of the install (operators)")
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
