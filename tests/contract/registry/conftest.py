"""One suite for any Confluent-compatible registry: ours by default, another by CAUDAL_TEST_REGISTRY_URL."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

JSON = "application/vnd.schemaregistry.v1+json"


@pytest.fixture(scope="session")
def url(request: pytest.FixtureRequest) -> str:
    """Where the registry under test is."""
    given = os.environ.get("CAUDAL_TEST_REGISTRY_URL")
    return given or str(request.getfixturevalue("registry_url"))


@pytest.fixture
def client(url: str) -> SchemaRegistryClient:
    """The client that all of Caudal uses; a fresh one, so that no answer comes from its cache."""
    return SchemaRegistryClient({"url": url})


@pytest.fixture
def http(url: str) -> Iterator[httpx2.Client]:
    """Raw requests, for what the client hides."""
    with httpx2.Client(base_url=url, headers={"Content-Type": JSON, "Accept": JSON}) as opened:
        yield opened


@pytest.fixture
def subject() -> str:
    """A subject that no other test has."""
    return f"conformance-{uuid.uuid4().hex}-value"


@pytest.fixture
def record() -> Callable[..., Schema]:
    """Builds a record of fields; the name is this test's alone, so that its id is too."""
    name = f"R{uuid.uuid4().hex}"

    def build(*fields: str | dict[str, Any], references: list[Any] | None = None) -> Schema:
        full = [{"name": f, "type": "string"} if isinstance(f, str) else f for f in fields]
        text = json.dumps({"type": "record", "name": name, "namespace": "conformance", "fields": full})
        return Schema(text, "AVRO", references or [])

    return build
