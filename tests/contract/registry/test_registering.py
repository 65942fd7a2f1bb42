"""Registering, finding and reading schemas."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import httpx2
import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

Record = Callable[..., Schema]


def test_a_registered_schema_is_read_by_id(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """What comes back under the id means what was registered."""
    schema = record("a")
    found = client.get_schema(client.register_schema(subject, schema))
    assert json.loads(str(schema.schema_str)) == json.loads(str(found.schema_str))


def test_registering_twice_gives_one_version(
    client: SchemaRegistryClient, subject: str, record: Record, url: str
) -> None:
    """The same schema again has the same id and makes no new version."""
    first = client.register_schema(subject, record("a"))
    again = SchemaRegistryClient({"url": url}).register_schema(subject, record("a"))
    assert first == again
    assert client.get_versions(subject) == [1]


def test_one_schema_has_one_id_in_all_subjects(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A schema registered under two subjects has one id, and the id knows both."""
    first = client.register_schema(subject, record("a"))
    assert first == client.register_schema(subject + "2", record("a"))
    assert [subject, subject + "2"] == sorted(client.get_subjects_by_schema_id(first))
    places = {(v.subject, v.version) for v in client.get_schema_versions(first)}
    assert {(subject, 1), (subject + "2", 1)} == places


def test_white_space_makes_no_new_schema(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """The same schema written with other white space is the same schema."""
    schema = record("a")
    spaced = Schema(json.dumps(json.loads(str(schema.schema_str)), indent=4), "AVRO")
    assert client.register_schema(subject, schema) == client.register_schema(subject + "2", spaced)


def test_versions_count_up(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """Two compatible schemas are versions 1 and 2, and the latest is the second."""
    client.register_schema(subject, record("a"))
    second = client.register_schema(subject, record("a", {"name": "b", "type": ["null", "string"], "default": None}))
    latest = client.get_latest_version(subject)
    assert client.get_versions(subject) == [1, 2]
    assert (2, second, subject) == (latest.version, latest.schema_id, latest.subject)


def test_ids_of_different_schemas_differ_and_grow(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A later schema has a higher id."""
    first = client.register_schema(subject, record("a"))
    assert first < client.register_schema(subject + "2", record("z"))


def test_lookup_finds_the_version(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A schema is found under its subject, with id and version."""
    schema_id = client.register_schema(subject, record("a"))
    found = client.lookup_schema(subject, record("a"))
    assert (subject, 1, schema_id) == (found.subject, found.version, found.schema_id)


def test_lookup_says_what_is_missing(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """An unknown subject is 40401, an unknown schema under a known subject 40403."""
    with pytest.raises(SchemaRegistryError) as no_subject:
        client.lookup_schema(subject, record("a"))
    client.register_schema(subject, record("a"))
    with pytest.raises(SchemaRegistryError) as no_schema:
        client.lookup_schema(subject, record("b"))
    assert [(e.value.http_status_code, e.value.error_code) for e in (no_subject, no_schema)] == [
        (404, 40401),
        (404, 40403),
    ]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/subjects/{unknown}/versions", 40401),
        ("/subjects/{unknown}/versions/1", 40401),
        ("/subjects/{unknown}/versions/latest", 40401),
        ("/subjects/{known}/versions/9", 40402),
        ("/subjects/{known}/versions/0", 42202),
        ("/subjects/{known}/versions/first", 42202),
        ("/schemas/ids/2000000000", 40403),
        ("/schemas/ids/2000000000/versions", 40403),
    ],
)
def test_what_is_missing_has_its_code(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record, path: str, code: int
) -> None:
    """Each thing that is not there has the code that clients branch on, and its status in the first digits."""
    client.register_schema(subject, record("a"))
    answer = http.get(path.format(known=subject, unknown=f"none-{uuid.uuid4().hex}"))
    assert (int(str(code)[:3]), code) == (answer.status_code, answer.json()["error_code"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        '{"type": "record"}',
        '{"type": "record", "name": "X", "fields": [{"name": "a", "type": "nowhere.Known"}]}',
        '{"type": "record", "name": "X", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}',
        '{"type": "enum", "name": "X", "symbols": ["A", "A"]}',
    ],
)
def test_an_invalid_schema_is_refused(http: httpx2.Client, subject: str, text: str) -> None:
    """What is no Avro schema is 42201, and nothing is registered."""
    answer = http.post(f"/subjects/{subject}/versions", json={"schema": text})
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42201)
    assert http.get(f"/subjects/{subject}/versions").status_code == 404


def test_a_version_tells_everything(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """A version shows subject, number, id and schema, and its bare text under /schema."""
    schema_id = client.register_schema(subject, record("a"))
    shown = http.get(f"/subjects/{subject}/versions/1").json()
    assert (subject, 1, schema_id) == (shown["subject"], shown["version"], shown["id"])
    bare = http.get(f"/subjects/{subject}/versions/1/schema")
    assert json.loads(shown["schema"]) == bare.json() == http.get(f"/schemas/ids/{schema_id}/schema").json()


def test_subjects_are_listed(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A subject appears in the list, and alone under its prefix."""
    client.register_schema(subject, record("a"))
    assert subject in client.get_subjects()
    assert [subject] == client.get_subjects(subject_prefix=subject)


def test_types_and_contexts(http: httpx2.Client) -> None:
    """Avro is among the types, and there is the default context."""
    assert "AVRO" in http.get("/schemas/types").json()
    assert "." in http.get("/contexts").json()


def test_a_reference_is_resolved(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A schema may use a type of another subject; it comes back with its references."""
    name = f"Money{uuid.uuid4().hex}"
    money = {"type": "record", "name": name, "namespace": "conformance", "fields": [{"name": "cents", "type": "long"}]}
    used = f"conformance.{name}"
    inner = client.register_schema(f"{subject}-inner", Schema(json.dumps(money), "AVRO"))
    reference = SchemaReference(used, f"{subject}-inner", 1)
    outer = record("a", {"name": "m", "type": used}, {"name": "n", "type": used}, references=[reference])
    outer_id = client.register_schema(subject, outer)
    found = client.get_schema(outer_id)
    assert inner != outer_id
    assert [(used, f"{subject}-inner", 1)] == [(r.name, r.subject, r.version) for r in found.references or []]
    assert [outer_id] == client.get_referenced_by(f"{subject}-inner", 1)


def test_a_missing_reference_is_refused(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A reference to a subject that is not there is an invalid schema."""
    reference = SchemaReference("conformance.Nothing", f"{subject}-none", 1)
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, record({"name": "m", "type": "conformance.Nothing"}, references=[reference]))
    assert refused.value.http_status_code == 422


def test_names_need_quoting(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A subject with characters that URLs escape works like any other."""
    odd = f"{subject} with space+plus"
    schema_id = client.register_schema(odd, record("a"))
    assert schema_id == client.get_latest_version(odd).schema_id
