"""`POST /v1/score` and `POST /v1/features`, for callers that know the contract and nothing of refs.

A token of role scorer binds the tenant. The payment is in Kafka (acknowledged by all) before its state is written, so
the store never holds an event that the road does not; the state is written before the answer, so a burst is counted
at once. Redis away or being filled: 503 with Retry-After, never a wrong value; a payment that is in Kafka by then is
decided by the loop, and asking again with the same event id gives that decision.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from caudal.clock import Clock, SystemClock
from caudal.errors import CaudalError, TransientError
from caudal.metrics import Metrics
from caudal.settings import Settings
from caudal.tokens import Principal, TokenStore, open_store
from caudal.web import Mounted
from privacy.seal import Sealer
from producers.errors import NotDelivered, RecordRefused
from producers.publish import Publisher
from producers.publish_prepare import Prepared
from serving.errors import Refused
from serving.features import facts
from serving.features.fold import fold, vector
from serving.features.records import Judges
from serving.features.spec import FeatureSpec
from serving.features.store import Batch
from serving.fraud import app, engine
from serving.fraud.engine import DECISION, Engine

ROWS = 500
"""Rows of one features request: about 1 MB of state."""
# Seconds that a payment waits for Kafka's acknowledgement before its caller is told to come back.
DELIVERY_S = 10.0
# Fields of a features request that are no identifiers.
AS_OF, AMOUNT = "as_of", "amount"


class Desk:
    """What the two routes do, without HTTP."""

    def __init__(self, settings: Settings, engine: Engine, clock: Clock | None = None) -> None:
        self._engine, self._settings = engine, settings
        self._clock = clock or SystemClock()
        self._judges = Judges(lambda name: engine.publisher.contracts.get(name))
        self._sealer: Sealer | None = None

    def score(self, tenant: str, event: Mapping[str, object], observed_at: str | int | None) -> dict[str, Any]:
        """Publish the payment, then decide on it. Raises RecordRefused, StoreAway, NotDelivered."""
        publisher, spec = self._engine.publisher, self._engine.spec
        self._engine.store.require_ready()
        prepared = publisher.prepare(spec.source, {**event, "tenant_id": tenant}, observed_at=observed_at)
        self._deliver(prepared)
        decision = self._engine.apply([engine.case(prepared.wire, spec, "http")])[0]
        # Not waited for: the bytes are kept, and the loop publishes them too when it meets the payment.
        publisher.produce(decision)
        record = self._judges.judge(DECISION).decode(decision.value)
        shown = ("event_id", "transaction_id", "transaction_event_id", "outcome", "score", "reasons", "model_version")
        more = ("features_version", "rules_version", "state_digest", "features", "latency_ms")
        return {name: record[name] for name in (*shown, *more)}

    def _deliver(self, prepared: Prepared) -> None:
        """Produce and wait for Kafka's acknowledgement of this record alone. Raises NotDelivered."""
        done, failed = threading.Event(), list[str]()

        def acknowledged(_: Prepared, why: str | None) -> None:
            failed.extend([why] if why else [])
            done.set()

        self._engine.publisher.produce(prepared, acknowledged)
        if not done.wait(DELIVERY_S):
            raise NotDelivered(0, 1, why="no acknowledgement in time")
        if failed:
            raise NotDelivered(1, 0, why=failed[0])

    def features(self, tenant: str, rows: list[Mapping[str, object]]) -> list[dict[str, Any]]:
        """The features of each row's entities at its `as_of` (default now). Nothing is minted or written."""
        spec, batch = self._engine.spec, Batch()
        self._engine.store.require_ready()
        asked = [self._asked(tenant, row) for row in rows]
        for _, refs, _, places in asked:
            for entity in spec.entities:
                if ref := refs.get(entity.ref):
                    labels = batch.labels(entity, tenant, ref) if entity.risk_delay_ms else None
                    places[entity.name] = batch.state(entity, tenant, ref), labels
        answers = self._engine.store.run(batch)
        return [self._row(spec, as_of, amount, places, answers) for as_of, _, amount, places in asked]

    def _asked(
        self, tenant: str, row: Mapping[str, object]
    ) -> tuple[int, dict[str, str | None], int | None, dict[str, Any]]:
        contract = self._engine.publisher.contracts.get(self._engine.spec.source).contract
        identifiers = {*(contract.subject.by if contract.subject else ()), *contract.refs.values(), "merchant_id"}
        for name, value in row.items():
            if name not in identifiers | {AS_OF, AMOUNT}:
                raise Refused("CDL-UNKNOWN-FIELD", name if name.isidentifier() and len(name) < 65 else "")
            if value is not None and name in identifiers and not isinstance(value, str):
                raise Refused("CDL-TYPE", name)
        if self._sealer is None or self._sealer.contract is not contract:
            self._sealer = Sealer(self._engine.publisher.vault, contract)
        refs = self._sealer.refs_for({**row, contract.tenant: tenant})
        merchant = row.get("merchant_id")
        refs["merchant_id"] = str(merchant) if merchant else None
        return self._as_of(row.get(AS_OF)), refs, _cents(row.get(AMOUNT)), {}

    def _as_of(self, value: object) -> int:
        from producers.validate import Invalid, to_millis

        if value is None:
            return self._clock.now_ms()
        try:
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise Refused("CDL-TYPE", AS_OF)
            millis: int = to_millis(value)
            return millis
        except Invalid as error:
            raise Refused("CDL-TYPE", AS_OF) from error

    def _row(
        self, spec: FeatureSpec, as_of: int, amount: int | None, places: Mapping[str, Any], answers: list[Any]
    ) -> dict[str, Any]:
        folded = {}
        for name, (state, labels) in places.items():
            if answers[state]:
                known = answers[labels] if labels is not None else None
                folded[name] = fold(spec.entity(name), answers[state], known or b"", as_of)
        values = dict(zip(spec.names, vector(spec, amount or 0, as_of, folded), strict=True))
        if amount is None:
            values = {k: v for k, v in values.items() if k not in ("amount", "amount_to_mean")}
        return {
            "as_of": as_of,
            "features": values,
            "entities": {
                name: {
                    "found": name in folded,
                    "exact": folded[name].exact if name in folded else True,
                    "last_event_ms": folded[name].last_ms if name in folded else None,
                }
                for name in places
            },
        }


def build(settings: Settings, metrics: Metrics) -> Mounted:
    """The two routes. Connects at the first request; the model is the current one at start."""
    publisher = Publisher(settings, source="score-api", metrics=metrics)
    made = app.build(settings, publisher, may_train=False)
    tokens = open_store(settings.data_dir)
    desk = Desk(settings, made)
    router = APIRouter(prefix="/v1", tags=["fraud"])

    @router.post("/score", summary="Seal and publish a payment, and decide on it")
    async def score(request: Request, observed_at: str | None = None) -> JSONResponse:
        def work(principal: Principal, body: Any) -> dict[str, Any]:
            tenant = _tenant(principal, body)
            when = int(observed_at) if observed_at and observed_at.isdigit() else observed_at
            return desk.score(tenant, {k: v for k, v in body.items() if k != "tenant_id"}, when)

        return await _answer(request, settings, tokens, work)

    @router.post("/features", summary="Features of one or many sets of identifiers")
    async def features(request: Request) -> JSONResponse:
        def work(principal: Principal, body: Any) -> dict[str, Any]:
            tenant = _tenant(principal, body)
            rows = body.get("rows", [{k: v for k, v in body.items() if k != "tenant_id"}])
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or len(rows) > ROWS:
                raise Refused("CDL-SHAPE", "rows", what=f"rows is a list of up to {ROWS} objects")
            return {
                "tenant_id": tenant,
                "features_version": made.spec.label,
                "rows": desk.features(tenant, rows),
            }

        return await _answer(request, settings, tokens, work)

    def close() -> None:
        publisher.close()
        made.store.close()
        tokens.close()

    return Mounted(router, close)


async def _answer(
    request: Request, settings: Settings, tokens: TokenStore, work: Callable[[Principal, Any], dict[str, Any]]
) -> JSONResponse:
    """Token, body, work, and every error as a coded answer that repeats no value."""
    try:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        principal = await run_in_threadpool(tokens.resolve, token) if kind.lower() == "bearer" and token else None
        if principal is None:
            return _refusal(Refused("CDL-TOKEN", what="a valid bearer token is needed", status=401))
        if principal.role != "scorer":
            return _refusal(Refused("CDL-ROLE", what="the token's role may not use this route", status=403))
        body = _json(await _body(request, settings.web.max_body_bytes))
        return JSONResponse(await run_in_threadpool(work, principal, body))
    except CaudalError as error:
        return _refusal(error)


def _refusal(error: CaudalError) -> JSONResponse:
    headers = {}
    if isinstance(error, Refused):
        status = error.status
    elif isinstance(error, RecordRefused):
        status = 422
    elif isinstance(error, TransientError):
        status, headers["Retry-After"] = 503, str(max(int(error.retry_after), 1))
    else:
        status = 503 if error.retryable else 500
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.facts(), status_code=status, headers=headers)


async def _body(request: Request, limit: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise Refused("CDL-TOO-LARGE", what="the body is too large", status=413)
        parts.append(part)
    return b"".join(parts)


def _json(body: bytes) -> dict[str, Any]:
    try:
        # Money stays what was written: 0.10 is ten cents, not the nearest double.
        found = json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused("CDL-JSON", what="the body is no JSON", status=400) from error
    if not isinstance(found, dict):
        raise Refused("CDL-SHAPE", what="the body is an object", status=400)
    return found


def _tenant(principal: Principal, body: Mapping[str, object]) -> str:
    """The token's tenant; only a token without one may name it in the body."""
    named = body.get("tenant_id")
    if principal.tenant is None:
        if not isinstance(named, str) or not named:
            raise Refused("CDL-NO-FIELD", "tenant_id")
        return named
    if named is not None and named != principal.tenant:
        raise Refused("CDL-TENANT", "tenant_id", what="the token is another tenant's", status=403)
    return principal.tenant


def _cents(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    try:
        found = facts.cents(value)
    except (TypeError, ValueError, ArithmeticError) as error:
        raise Refused("CDL-TYPE", AMOUNT) from error
    if not 0 <= found <= 2**31 - 1:
        raise Refused("CDL-TYPE", AMOUNT)
    return found


def _no_number(_: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")
