"""The routes: pages, `/assets/…`, `/live`, what pages ask for (`/look/…`), `/catalogue/…`, `/docs`, sign in and out."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse

from caudal import tokens
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from caudal.tokens import Principal
from caudal.web import Mounted
from schemas.load import load_catalog
from serving.api.errors import NoToken, NotThere
from serving.api.gold import Reader
from serving.api.pages import Pages
from serving.api.route import coded
from serving.api.settings import ApiSettings
from serving.dashboard.errors import TooManyPages
from serving.dashboard.live import Broadcaster, Source
from serving.dashboard.login import Login
from serving.dashboard.look import Letters, Look
from serving.dashboard.settings import DashboardSettings
from serving.dashboard.shelf import Shelf
from serving.dashboard.statements import PAGES
from serving.dashboard.trail import Trails

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "html": "text/html"}
# No inline script or style, nothing from elsewhere, no frame around the page.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PRIVATE = {**HEADERS, "Cache-Control": "no-store"}
LONGEST_FORM = 512


def build(settings: Settings, metrics: Metrics, letters: Letters | None = None) -> Mounted:
    """The dashboard's router. The thread that feeds its pages starts with the first open one.

    Without `letters` single dead letters cannot be looked at.
    """
    limits = settings.section("serving.dashboard", DashboardSettings)
    reading = settings.section("serving.api", ApiSettings)
    lake = Lake.open(settings)
    store = tokens.open_store(settings.data_dir)
    login = Login(store, limits.session_s)
    reader = Reader(lake, groups=reading.groups, open_tables=reading.open_tables)
    live = Broadcaster(Source(settings, lake, reader).states, limits)
    trails = Trails(lake, reader, lambda: load_catalog(settings.contracts_dir))
    look = Look(reader, Pages(reader, reading), trails, letters)
    assets, shelf = _assets(), Shelf(settings.catalogue_dir)
    router = APIRouter(route_class=coded(metrics), include_in_schema=False)

    def enter(request: Request, token: str) -> Response:
        session = login.exchange(token)
        if session is None:
            return HTMLResponse(assets["login.html"][0], 401, headers=PRIVATE)
        # the address with the token leaves the history with this redirect
        response = RedirectResponse("/", 303, headers=PRIVATE)
        login.remember(response, session, secure=request.url.scheme == "https")
        return response

    def shown(request: Request) -> Response:
        if login.who(request) is None:
            return HTMLResponse(assets["login.html"][0], 401, headers=PRIVATE)
        return HTMLResponse(assets["index.html"][0], headers=PRIVATE)

    @router.get("/")
    def page(request: Request) -> Response:
        if (token := request.query_params.get("token")) is None:
            return shown(request)
        if login.who(request) is not None:
            return RedirectResponse("/", 303, headers=PRIVATE)
        return enter(request, token)

    for name in PAGES:
        router.add_api_route(f"/{name}", shown, methods=["GET"])
    # the script reads the mart from the address and asks for its rows
    router.add_api_route("/rows/{mart}", shown, methods=["GET"])

    @router.post("/login")
    async def sign_in(request: Request) -> Response:
        from urllib.parse import parse_qs

        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LONGEST_FORM:
                return HTMLResponse(assets["login.html"][0], 401, headers=PRIVATE)
        return enter(request, parse_qs(body.decode("latin-1")).get("token", [""])[0].strip())

    @router.post("/logout")
    def sign_out(request: Request) -> Response:
        response = RedirectResponse("/", 303, headers=PRIVATE)
        login.leave(request, response)
        return response

    @router.get("/assets/{name}")
    def asset(request: Request, name: str) -> Response:
        if name not in assets or name.endswith(".html"):
            return JSONResponse({"code": "CDL-NOT-FOUND", "what": "there is no such object"}, 404)
        body, etag = assets[name]
        headers = {**HEADERS, "ETag": etag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=TYPES[name.rsplit(".", 1)[1]], headers=headers)

    @router.get("/docs")
    def docs() -> Response:
        return HTMLResponse(assets["docs.html"][0], headers=HEADERS)

    def operator(request: Request) -> Principal:
        found = login.who(request)
        if found is None:
            raise NoToken
        return found

    @router.get("/live")
    async def events(request: Request, page: str = "overview") -> Response:
        operator(request)
        if page not in PAGES:
            raise NotThere
        if live.full:
            raise TooManyPages("too many open pages", retry_after=10)
        return StreamingResponse(_encoded(live, page), media_type="text/event-stream",
                                 headers={**PRIVATE, "X-Accel-Buffering": "no"})  # fmt: skip

    @router.get("/look/marts/{mart}")
    def columns(request: Request, mart: str) -> Response:
        operator(request)
        return look.mart(mart)

    @router.get("/look/rows/{mart}")
    def rows(request: Request, mart: str) -> Response:
        return look.rows(operator(request), mart, request.query_params.multi_items())

    @router.get("/look/road/{mart}")
    def road(request: Request, mart: str, tenant: str = "", value: str = "") -> Response:
        return look.road(operator(request), mart, tenant, value)

    @router.get("/look/letters")
    def letters_of(request: Request) -> Response:
        operator(request)
        named = ("contract", "code", "path")
        return look.letters({name: request.query_params[name] for name in named if name in request.query_params})

    @router.get("/look/letters/{coordinates}")
    def letter(request: Request, coordinates: str) -> Response:
        operator(request)
        return look.letter(coordinates)

    @router.get("/catalogue")
    def catalogue() -> Response:
        # Its pages name each other, so the address has to end in a folder.
        return RedirectResponse("/catalogue/index.html", 303, headers=PRIVATE)

    @router.get("/catalogue/{name}")
    def catalogued(request: Request, name: str) -> Response:
        if login.who(request) is None:
            return HTMLResponse(assets["login.html"][0], 401, headers=PRIVATE)
        found = shelf.page(name, PRIVATE)
        if found is None:
            raise NotThere
        return found

    def close() -> None:
        live.close()
        store.close()

    return Mounted(router, close)


async def _encoded(live: Broadcaster, page: str) -> AsyncIterator[bytes]:
    async for text in live.stream(page):
        yield text.encode()


def _assets() -> dict[str, tuple[bytes, str]]:
    """Every bundled file by name, with its entity tag."""
    found = {}
    for item in files("serving.dashboard").joinpath("assets").iterdir():
        body = item.read_bytes()
        found[item.name] = (body, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
    return found
