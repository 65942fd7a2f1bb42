"""The API against its own description: Schemathesis makes requests from it, good and bad, with two tenants' tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_schema_conformance,
    status_code_conformance,
)

from caudal import tokens
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from serving.api import app as api
from tests.support import gold_lake as gold

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance, ignored_auth,
)  # fmt: skip
TOKENS: dict[str, str] = {}
TURNS = itertools.cycle([gold.SHOPS, gold.SHOPS[::-1]])
AIMED = itertools.cycle([True, True, False, False])
EXAMPLES = 100


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of an API on published gold; what it promises for a server that has to be up is not asked."""
    folder = tmp_path_factory.mktemp("api")
    own = Settings.model_validate(
        {"data_dir": folder, "serving": {"api": {"rate_per_s": 1e6, "burst": 10**6, "probe_s": 0.3}}}
    )
    mounted = api.build(own, Metrics("web", own.run_dir / "metrics"))
    app = FastAPI()
    app.include_router(mounted.router)
    lake, store = Lake.open(own), tokens.open_store(folder)
    gold.publish_live(lake)
    gold.publish_full(lake)
    TOKENS.update({shop: store.issue("reader", shop) for shop in gold.SHOPS})
    found = schemathesis.openapi.from_asgi("/openapi.json", app)
    yield found.include(path_regex="^/v1/(gold|query|usage|status)")
    mounted.close()
    store.close()


def test_what_is_described_holds_for_any_request(described: Any) -> None:
    """No 5xx, no status or body that is not described, and never a value of the other tenant."""
    asked = set()
    for found in described.get_all_operations():
        operation = found.ok()
        asked.add(operation.path)

        # Good requests and bad ones: parameters of wrong types, missing parts, bodies of any shape.
        for mode in schemathesis.GenerationMode:

            @given(operation.as_strategy(generation_mode=mode))
            @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            def holds(case: schemathesis.Case[Any]) -> None:
                mine, other = next(TURNS)
                _aim(case)
                case.headers["Authorization"] = f"Bearer {TOKENS[mine]}"
                answer = case.call_and_validate(checks=list(CHECKS))
                told = f"{case.path_parameters!r} {case.query!r} {case.body!r}"
                assert other in told or other.encode() not in answer.content

            # Where nothing can be wrong there is no bad request.
            with suppress(Unsatisfiable):
                holds()
    assert asked >= {"/v1/gold", "/v1/gold/{mart}", "/v1/gold/{mart}/{column}/{value}", "/v1/query", "/v1/usage"}


def _aim(case: schemathesis.Case[Any]) -> None:
    """Every other request is about a mart that is there: any name that is made up only meets the first check."""
    if not next(AIMED):
        return
    if "mart" in case.path_parameters:
        case.path_parameters["mart"] = "fct_orders"
    if "column" in case.path_parameters:
        case.path_parameters["column"] = "order_id"
    if isinstance(case.body, dict) and "mart" in case.body:
        case.body["mart"] = "fct_orders"
