"""The client of any Confluent-compatible registry, and one place that turns its failures into our errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from caudal.settings import Settings
from schemas import wire
from schemas.contract import Avro
from schemas.errors import NotReleasable, Unreachable

# One request of the client tries twice more by itself; a registry that is up answers in milliseconds.
_TIMEOUT_S = 10
_INCOMPATIBLE = 409
_NOT_FOUND = 404


def make(settings: Settings) -> SchemaRegistryClient:
    """A client for `registry.url`. Connects at its first call."""
    conf: dict[str, Any] = {"url": settings.registry.url, "timeout": _TIMEOUT_S, "max.retries": 2}
    if auth := settings.registry.auth.get_secret_value():
        conf["basic.auth.user.info"] = auth
    return SchemaRegistryClient(conf)


@contextmanager
def reaching(subject: str) -> Iterator[None]:
    """Turn what the client raises into `NotReleasable` (refused as incompatible) or `Unreachable` (try again)."""
    import httpx2

    try:
        yield
    except SchemaRegistryError as error:
        if error.http_status_code == _INCOMPATIBLE:
            raise NotReleasable(
                "COMPATIBILITY",
                f"the registry refuses the new schema of {subject}",
                why=str(error.error_message),
                fix="make the change compatible: new fields with a default, nothing renamed or retyped",
            ) from error
        raise Unreachable(
            "the schema registry cannot do that now",
            where=subject,
            why=f"HTTP {error.http_status_code}, code {error.error_code}",
            fix="check the registry: caudal status",
        ) from error
    except (httpx2.TransportError, OSError) as error:
        raise Unreachable(
            "the schema registry does not answer",
            where=subject,
            why=type(error).__name__,
            fix="start it: caudal up",
        ) from error


def registered(client: SchemaRegistryClient, subject: str) -> list[Avro]:
    """The subject's schemas, oldest first; an empty list when nobody knows it. Raises Unreachable."""
    import json

    with reaching(subject):
        try:
            numbers = client.get_versions(subject)
        except SchemaRegistryError as error:
            if error.http_status_code == _NOT_FOUND:
                return []
            raise
        return [json.loads(client.get_version(subject, n).schema.schema_str) for n in sorted(numbers)]


def register(client: SchemaRegistryClient, subject: str, schema: Avro) -> int:
    """Register a schema, or find it, and return its id. Raises NotReleasable or Unreachable."""
    with reaching(subject):
        return int(client.register_schema(subject, Schema(wire.compact(schema), "AVRO")))


def text_of(client: SchemaRegistryClient, schema_id: int) -> str | None:
    """The text of the schema with this id; None when the registry has none. Raises Unreachable."""
    with reaching(f"schema {schema_id}"):
        try:
            return str(client.get_schema(schema_id).schema_str)
        except SchemaRegistryError as error:
            if error.http_status_code != _NOT_FOUND:
                raise
            return None


def set_level(client: SchemaRegistryClient, subject: str, level: str) -> None:
    """Give the subject its own compatibility level when it has another one."""
    with reaching(subject):
        try:
            current = client.get_compatibility(subject)
        except SchemaRegistryError as error:
            if error.http_status_code != _NOT_FOUND:
                raise
            current = None
        if current != level:
            client.set_compatibility(subject, level)
