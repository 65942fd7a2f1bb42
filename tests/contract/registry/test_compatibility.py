"""The seven levels, globally and by subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

Record = Callable[..., Schema]

REQUIRED = {"name": "b", "type": "string"}
OPTIONAL = {"name": "b", "type": ["null", "string"], "default": None}

# Each step: the versions so far, the next one, and the levels that let it in.
ADD_OPTIONAL = ([["a"]], ["a", OPTIONAL])
ADD_REQUIRED = ([["a"]], ["a", REQUIRED])
DROP_REQUIRED = ([["a", REQUIRED]], ["a"])
# The last version alone would allow it, the first forbids it.
BACK_TO_REQUIRED = ([["a"], ["a", OPTIONAL]], ["a", {"name": "b", "type": ["null", "string"]}])
DROP_LATER = ([["a", REQUIRED], ["a", OPTIONAL]], ["a"])
NEW_TYPE = ([["a"]], [{"name": "a", "type": "boolean"}])

BACKWARD = {"BACKWARD", "BACKWARD_TRANSITIVE"}
FORWARD = {"FORWARD", "FORWARD_TRANSITIVE"}
FULL = {"FULL", "FULL_TRANSITIVE"}
LEVELS = ["NONE", *sorted(BACKWARD | FORWARD | FULL)]
ALLOWED = [
    (ADD_OPTIONAL, {"NONE"} | BACKWARD | FORWARD | FULL),
    (ADD_REQUIRED, {"NONE"} | FORWARD),
    (DROP_REQUIRED, {"NONE"} | BACKWARD),
    (BACK_TO_REQUIRED, {"NONE", "BACKWARD", "FORWARD", "FORWARD_TRANSITIVE", "FULL"}),
    (DROP_LATER, {"NONE", "FORWARD", "FULL"} | BACKWARD),
    (NEW_TYPE, {"NONE"}),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("step", "allowed"), ALLOWED, ids=["optional", "required", "drop", "transitive", "older", "type"]
)
def test_a_level_lets_in_what_it_promises(
    client: SchemaRegistryClient,
    subject: str,
    record: Record,
    step: tuple[list[list[object]], list[object]],
    allowed: set[str],
    level: str,
) -> None:
    """Registering and the test endpoint give the same verdict, which is the level's."""
    olds, new = step
    client.set_compatibility(subject, "NONE")
    for old in olds:
        client.register_schema(subject, record(*old))
    client.set_compatibility(subject, level)
    assert (level in allowed) == client.test_compatibility_all_versions(subject, record(*new))
    if level in allowed:
        client.register_schema(subject, record(*new))
        assert len(olds) + 1 == len(client.get_versions(subject))
    else:
        with pytest.raises(SchemaRegistryError) as refused:
            client.register_schema(subject, record(*new))
        assert refused.value.http_status_code == 409
        assert len(olds) == len(client.get_versions(subject))


def test_a_single_version_can_be_asked(client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """The test against one version compares with that one alone."""
    client.set_compatibility(subject, "NONE")
    client.register_schema(subject, record("a"))
    client.register_schema(subject, record("a", OPTIONAL))
    client.set_compatibility(subject, "BACKWARD")
    newest = record("a", {"name": "b", "type": ["null", "string"]})
    assert client.test_compatibility(subject, newest, 2)
    assert not client.test_compatibility(subject, newest, 1)


def test_why_is_told(http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record) -> None:
    """A verbose test says what speaks against the schema."""
    client.set_compatibility(subject, "BACKWARD")
    client.register_schema(subject, record("a"))
    answer = http.post(
        f"/compatibility/subjects/{subject}/versions/latest?verbose=true",
        json={"schema": record("a", REQUIRED).schema_str},
    ).json()
    assert answer["is_compatible"] is False
    assert any("READER_FIELD_MISSING_DEFAULT_VALUE" in message for message in answer["messages"])


def test_an_unknown_version_to_compare_with(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """Comparing with a version that is not there is 40402."""
    client.register_schema(subject, record("a"))
    answer = http.post(f"/compatibility/subjects/{subject}/versions/7", json={"schema": record("a").schema_str})
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40402)


@pytest.fixture
def untouched(http: httpx2.Client) -> Iterator[str]:
    """The global level, put back afterwards."""
    level = str(http.get("/config").json()["compatibilityLevel"])
    yield level
    http.put("/config", json={"compatibility": level})


def test_the_global_level_counts_for_all_others(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record, untouched: str
) -> None:
    """A subject without a level of its own follows the global one."""
    assert client.set_compatibility(None, "NONE") == {"compatibility": "NONE"}
    client.register_schema(subject, record("a"))
    client.register_schema(subject, record({"name": "a", "type": "boolean"}))
    missing = http.get(f"/config/{subject}")
    assert (missing.status_code, missing.json()["error_code"]) == (404, 40408)
    assert http.get(f"/config/{subject}?defaultToGlobal=true").json()["compatibilityLevel"] == "NONE"


def test_a_subjects_level_can_be_taken_away(
    http: httpx2.Client, client: SchemaRegistryClient, subject: str, record: Record
) -> None:
    """After the delete the subject has no level of its own."""
    client.register_schema(subject, record("a"))
    client.set_compatibility(subject, "FULL")
    assert client.get_compatibility(subject) == "FULL"
    assert http.delete(f"/config/{subject}").status_code == 200
    assert http.get(f"/config/{subject}").status_code == 404


def test_an_unknown_level_is_refused(http: httpx2.Client, subject: str) -> None:
    """A level that does not exist is 42203."""
    answer = http.put(f"/config/{subject}", json={"compatibility": "SIDEWARD"})
    assert (answer.status_code, answer.json()["error_code"]) == (422, 42203)
