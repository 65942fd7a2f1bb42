"""How every route of the API answers: coded errors, safe headers, one count per answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from caudal import log
from caudal.errors import CaudalError, TransientError
from caudal.metrics import Metrics
from serving.api.errors import ApiError, BadQuery

HEADERS = {
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, Accept",
    "X-Content-Type-Options": "nosniff",
}
Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Used = Callable[[str, Response, float], None]
"""Is told of each answer to a tenant: the tenant, the answer, and the seconds that it took."""


def coded(metrics: Metrics, used: Used | None = None) -> type[APIRoute]:
    """A route class that turns errors into coded answers and counts each answer by route, status and tenant."""

    class Coded(APIRoute):
        def get_route_handler(self) -> Handler:
            work = super().get_route_handler()
            route = self.path_format

            async def handle(request: Request) -> Response:
                started = time.perf_counter()
                try:
                    response = await work(request)
                except Exception as error:  # noqa: BLE001  the caller gets a coded answer, never a stack trace
                    response = refuse(error, route)
                for name, value in HEADERS.items():
                    response.headers.setdefault(name, value)
                metrics.count("caudal_api_requests_total", route=route, status=str(response.status_code))
                took = time.perf_counter() - started
                metrics.count("caudal_api_seconds_total", took, route=route)
                tenant = getattr(request.state, "tenant", None)
                if used is not None and tenant:
                    used(tenant, response, took)
                return response

            return handle

    return Coded


def refuse(error: Exception, route: str) -> JSONResponse:
    """The answer to an error. What is not ours is logged by type and place only, and told as unexpected."""
    match error:
        case ApiError():
            return JSONResponse(error.facts(), error.status, error.headers)
        case TransientError():
            return JSONResponse(error.facts(), 503, {"Retry-After": str(max(1, round(error.retry_after)))})
        case RequestValidationError():
            where = ".".join(str(part) for part in error.errors()[0]["loc"][1:])
            return JSONResponse(BadQuery("a parameter does not fit", where=where).facts(), 400)
        case CaudalError():
            log.get("api").error("refused", code=error.code, route=route)
            return JSONResponse({"code": error.code, "what": error.what, "retryable": False}, 500)
    log.get("api").error("unexpected", error=type(error).__name__, route=route, at=_place(error))
    return JSONResponse({"code": "CDL-UNEXPECTED", "what": "something broke on our side", "retryable": False}, 500)


def _place(error: Exception) -> str:
    """File and line where it broke; the message may hold values and stays out of the log."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
