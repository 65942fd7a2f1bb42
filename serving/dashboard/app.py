"""The page's routes: `/`, `/assets/…`, `/live`, `/docs`, sign in and out."""

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
from caudal.web import Mounted
from serving.api.errors import NoToken
from serving.api.gold import Reader
from serving.api.route import coded
from serving.api.settings import ApiSettings
from serving.dashboard.errors import TooManyPages
from serving.dashboard.live import Broadcaster, Source
from serving.dashboard.login import Login
from serving.dashboard.settings import DashboardSettings

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


def build(settings: Settings, metrics: Metrics) -> Mounted:
    """The page's router. The thread that feeds it starts with the first open page."""
    limits = settings.section("serving.dashboard", DashboardSettings)
    reading = settings.section("serving.api", ApiSettings)
    lake = Lake.open(settings)
    store = tokens.open_store(settings.data_dir)
    login = Login(store, limits.session_s)
    reader = Reader(lake, groups=reading.groups, open_tables=reading.open_tables)
    live = Broadcaster(Source(settings, lake, reader).state, limits)
    assets = _assets()
    router = APIRouter(route_class=coded(metrics), include_in_schema=False)

    def enter(request: Request, token: str) -> Response:
        session = login.exchange(token)
        if session is None:
            return HTMLResponse(assets["login.html"][0], 401, headers=PRIVATE)
        # the address with the token leaves the history with this redirect
        response = RedirectResponse("/", 303, headers=PRIVATE)
        login.remember(response, session, secure=request.url.scheme == "https")
        return response

    @router.get("/")
    def page(request: Request) -> Response:
        signed_in = login.who(request) is not None
        if (token := request.query_params.get("token")) is not None:
            return RedirectResponse("/", 303, headers=PRIVATE) if signed_in else enter(request, token)
        if not signed_in:
            return HTMLResponse(assets["login.html"][0], 401, headers=PRIVATE)
        return HTMLResponse(assets["index.html"][0], headers=PRIVATE)

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

    @router.get("/live")
    async def events(request: Request) -> Response:
        if login.who(request) is None:
            raise NoToken
        if live.full:
            raise TooManyPages("too many open pages", retry_after=10)
        return StreamingResponse(_encoded(live), media_type="text/event-stream",
                                 headers={**PRIVATE, "X-Accel-Buffering": "no"})  # fmt: skip

    def close() -> None:
        live.close()
        store.close()

    return Mounted(router, close)


async def _encoded(live: Broadcaster) -> AsyncIterator[bytes]:
    async for text in live.stream():
        yield text.encode()


def _assets() -> dict[str, tuple[bytes, str]]:
    """Every bundled file by name, with its entity tag."""
    found = {}
    for item in files("serving.dashboard").joinpath("assets").iterdir():
        body = item.read_bytes()
        found[item.name] = (body, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
    return found
