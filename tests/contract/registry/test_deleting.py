"""Soft and permanent deletes, modes, and ids that never come back for another schema."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import httpx2
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

Record = Callable[..., Schema]


def _code(answer: httpx2.Response) -> tuple[int, int]:
    return answer.status_code, answer.json()["error_code"]


def test_a_soft_deleted_version_is_hidden_but_its_id_reads(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """Bytes written with a soft-deleted version can still be decoded."""
    schema_id = client.register_schema(subject, record("a"))
    assert client.delete_version(subject, 1) == 1
    assert _code(http.get(f"/subjects/{subject}/versions")) == (404, 40401)
    assert http.get(f"/subjects/{subject}/versions?deleted=true").json() == [1]
    assert subject not in http.get("/subjects").json()
    assert subject in http.get("/subjects?deleted=true").json()
    assert http.get(f"/schemas/ids/{schema_id}").status_code == 200


def test_deletes_come_in_two_steps(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """A version is deleted for good only after it was deleted softly."""
    client.register_schema(subject, record("a"))
    assert _code(http.delete(f"/subjects/{subject}/versions/1?permanent=true")) == (404, 40407)
    assert http.delete(f"/subjects/{subject}/versions/1").json() == 1
    assert _code(http.delete(f"/subjects/{subject}/versions/1")) == (404, 40406)
    assert http.delete(f"/subjects/{subject}/versions/1?permanent=true").json() == 1
    assert http.get(f"/subjects/{subject}/versions?deleted=true").status_code == 404


def test_a_subject_is_deleted_in_two_steps(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """The same holds for a subject as a whole."""
    client.register_schema(subject, record("a"))
    client.register_schema(subject, record("a", {"name": "b", "type": ["null", "string"], "default": None}))
    assert _code(http.delete(f"/subjects/{subject}?permanent=true")) == (404, 40405)
    assert client.delete_subject(subject) == [1, 2]
    assert _code(http.delete(f"/subjects/{subject}")) == (404, 40404)
    assert http.delete(f"/subjects/{subject}?permanent=true").json() == [1, 2]
    assert _code(http.delete(f"/subjects/{subject}")) == (404, 40401)


def test_a_version_number_is_not_given_twice(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """After a soft delete the next schema gets the next number."""
    client.register_schema(subject, record("a"))
    client.delete_subject(subject)
    client.register_schema(subject, record("b"))
    assert client.get_versions(subject) == [2]


def test_a_deleted_schema_no_longer_counts_for_compatibility(
    client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """A mistake can be taken back: the deleted version does not stand in the way."""
    client.set_compatibility(subject, "FULL_TRANSITIVE")
    client.register_schema(subject, record("a"))
    client.delete_subject(subject)
    client.register_schema(subject, record({"name": "a", "type": "boolean"}))
    assert client.get_versions(subject) == [2]


def test_an_id_never_names_another_schema(client: SchemaRegistryClient, subject: str, record: Record, url: str) -> None:
    """Even after a permanent delete a new schema does not get the old id."""
    old = client.register_schema(subject, record("a"))
    client.delete_subject(subject)
    client.delete_subject(subject, permanent=True)
    assert old != SchemaRegistryClient({"url": url}).register_schema(subject, record("other"))


def test_a_permanently_deleted_schema_is_gone(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """Its id is unknown once no version names it."""
    schema_id = client.register_schema(subject, record("a"))
    client.delete_subject(subject)
    client.delete_subject(subject, permanent=True)
    assert _code(http.get(f"/schemas/ids/{schema_id}")) == (404, 40403)


def test_a_referenced_version_stays(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """A version that another schema uses cannot be deleted."""
    name = f"Inner{uuid.uuid4().hex}"
    inner = {"type": "record", "name": name, "namespace": "conformance", "fields": []}
    client.register_schema(f"{subject}-inner", Schema(json.dumps(inner), "AVRO"))
    reference = SchemaReference(f"conformance.{name}", f"{subject}-inner", 1)
    client.register_schema(subject, record({"name": "m", "type": f"conformance.{name}"}, references=[reference]))
    assert _code(http.delete(f"/subjects/{subject}-inner/versions/1")) == (422, 42206)


def test_a_read_only_subject_takes_nothing(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """In mode READONLY registering is 42205; a known schema still has its id."""
    schema_id = client.register_schema(subject, record("a"))
    assert client.update_mode(subject, "READONLY") == "READONLY"
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, record("a", {"name": "b", "type": ["null", "string"], "default": None}))
    assert (refused.value.http_status_code, refused.value.error_code) == (422, 42205)
    assert client.get_mode(subject) == "READONLY"
    assert schema_id == client.lookup_schema(subject, record("a")).schema_id
    assert http.delete(f"/mode/{subject}").status_code == 200
    assert _code(http.get(f"/mode/{subject}")) == (404, 40409)


def test_an_import_keeps_ids_and_versions(http: httpx2.Client, subject: str, record: Record) -> None:
    """In mode IMPORT a schema comes with its id and version; elsewhere it may not."""
    wanted = 1_000_000_000 + uuid.uuid4().int % 1_000_000
    body = {"schema": record("a").schema_str, "id": wanted, "version": 5}
    assert _code(http.post(f"/subjects/{subject}/versions", json=body)) == (422, 42205)
    assert http.put(f"/mode/{subject}", json={"mode": "IMPORT"}).status_code == 200
    assert wanted == http.post(f"/subjects/{subject}/versions", json=body).json()["id"]
    assert http.get(f"/subjects/{subject}/versions").json() == [5]


def test_an_unknown_mode_is_refused(http: httpx2.Client, subject: str) -> None:
    """A mode that does not exist is 42204."""
    assert _code(http.put(f"/mode/{subject}", json={"mode": "SLEEPING"})) == (422, 42204)
