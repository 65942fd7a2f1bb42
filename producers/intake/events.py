"""`POST /v1/events/{contract}`: one event, or a list of events with a verdict for each.

Answers come after Kafka's acknowledgement. 200: all accepted. 207: some refused. 422: none fits (one event: its code
and field). 503 with Retry-After: not acknowledged; send the same request again, event ids make that safe.
Optional headers: `Caudal-Observed-At` (the source's own clock), `Caudal-Source` and `Caudal-Run` (its origin).
"""

import asyncio
import re
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from caudal import log
from caudal.clock import Clock
from caudal.errors import TransientError
from caudal.fault import crashpoint
from caudal.metrics import Metrics
from caudal.tokens import TokenStore
from producers.errors import RecordRefused, UnknownContract
from producers.intake import body
from producers.intake.auth import authenticate, authorize
from producers.intake.errors import HttpRefused, busy
from producers.intake.group import GroupCommit, Stamp, Verdict, summary
from producers.publish import Publisher
from producers.settings import ProducersSettings
from producers.validate_values import Invalid, to_millis

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")


_BODY = {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}, "minItems": 1}]}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "Kafka has all records"},
    207: {"description": "Kafka has the accepted records, others were refused; one verdict per record"},
    400: {"description": "The body is not JSON"},
    401: {"description": "No valid ingest token"},
    403: {"description": "The token may not push this contract, or the records are another tenant's"},
    404: {"description": "No such contract was released"},
    413: {"description": "Body or batch too large"},
    415: {"description": "The body must come uncompressed"},
    422: {"description": "No record fits its contract; code and field of each"},
    503: {"description": "Not acknowledged; send the same request again after Retry-After seconds"},
}


@dataclass(frozen=True)
class Intake:
    """What the route works with."""

    publisher: Publisher
    group: GroupCommit
    tokens: TokenStore
    settings: ProducersSettings
    max_body_bytes: int
    clock: Clock
    metrics: Metrics | None = None


def router(intake: Intake) -> APIRouter:
    """The route on these parts."""
    routes = APIRouter()

    @routes.post(
        "/v1/events/{contract}",
        tags=["events"],
        summary="Push one event, or a list of events",
        responses=_RESPONSES,
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}},
    )
    async def push(contract: str, request: Request) -> Response:
        try:
            return await _push(intake, contract, request)
        except HttpRefused as error:
            return JSONResponse(error.body(), error.status, error.headers)
        except ClientDisconnect:
            return Response(status_code=400)

    return routes


async def _push(intake: Intake, contract_id: str, request: Request) -> Response:
    headers = request.headers
    principal = await run_in_threadpool(authenticate, intake.tokens, headers.get("authorization"))
    tenant = authorize(principal, contract_id, intake.settings.intake_internal)
    if headers.get("content-encoding", "identity") != "identity":
        raise HttpRefused(415, "CDL-ENCODING", "the body must come uncompressed")
    stamp = _stamp(intake, contract_id, request)
    content = await body.read(request.stream(), headers.get("content-length"), intake.max_body_bytes)
    pushed = body.parse(content, intake.settings.batch_records)
    try:
        released = await run_in_threadpool(intake.publisher.contracts.get, contract_id)
        field = released.contract.tenant
        bound = [body.bind(record, field, tenant) for record in pushed.records]
        future = intake.group.submit(stamp, [event for event in bound if not isinstance(event, str)])
        decided = iter(await _decided(future, intake.settings.intake_deadline_s))
    except UnknownContract:
        raise HttpRefused(404, "CDL-CONTRACT-UNKNOWN", "no such contract was released") from None
    except RecordRefused as error:
        raise HttpRefused(422, error.code, "the record does not fit its contract", path=error.path) from None
    except TransientError as error:
        raise busy(error.what, error.retry_after, error.code) from None
    verdicts = [
        Verdict("refused", code=event, path=field if event == "CDL-TENANT" else "")
        if isinstance(event, str)
        else next(decided)
        for event in bound
    ]
    if intake.metrics is not None:
        # The publisher counts what it refuses; these never came to it.
        for code in (event for event in bound if isinstance(event, str)):
            intake.metrics.count("caudal_rejects_total", stage="source", code=code, contract=contract_id)
    crashpoint("intake.acked")
    return _answer(verdicts, single=pushed.single)


async def _decided(future: "Future[list[Verdict]]", deadline_s: float) -> list[Verdict]:
    # Delivery reports every record by its own deadline; the grace only covers a group that waits in line.
    grace_s = 5
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), deadline_s + grace_s)
    except TimeoutError:
        raise busy("Kafka has not acknowledged in time", 5, "CDL-NOT-DELIVERED") from None


def _stamp(intake: Intake, contract_id: str, request: Request) -> Stamp:
    given = request.headers.get("caudal-observed-at")
    try:
        observed = intake.clock.now_ms() if given is None else to_millis(int(given) if given.isdigit() else given)
    except (Invalid, ValueError):
        raise HttpRefused(
            422, "CDL-TYPE", "epoch milliseconds or ISO 8601 with an offset", path="Caudal-Observed-At"
        ) from None
    labels = {}
    for header in ("Caudal-Source", "Caudal-Run"):
        value = request.headers.get(header)
        if value is not None and not _LABEL.fullmatch(value):
            raise HttpRefused(422, "CDL-TYPE", "letters, digits and . _ : / - only, at most 64", path=header)
        labels[header] = value
    return Stamp(contract_id, observed, labels["Caudal-Source"] or "http", labels["Caudal-Run"])


def _answer(verdicts: Sequence[Verdict], *, single: bool) -> Response:
    counts = summary(verdicts)
    if counts["failed"]:
        status, retry = 503, {"Retry-After": "5"}
        log.get("intake").warning("not_acknowledged", records=counts["failed"])
    elif counts["refused"] == len(verdicts):
        tenant_only = all(verdict.code == "CDL-TENANT" for verdict in verdicts)
        status, retry = 403 if tenant_only else 422, {}
    else:
        status, retry = 207 if counts["refused"] else 200, {}
    if single:
        return JSONResponse(verdicts[0].record(), status, retry)
    return JSONResponse({**counts, "records": [verdict.record() for verdict in verdicts]}, status, retry)
