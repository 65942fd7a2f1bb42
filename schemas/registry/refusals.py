"""What the registry refuses, with the error codes of Confluent's REST API; their first three digits are the status."""

from __future__ import annotations

from collections.abc import Sequence


class Refusal(Exception):
    """A request that is answered with an error code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @property
    def status(self) -> int:
        """HTTP status."""
        return int(str(self.code)[:3])


def no_subject(subject: str) -> Refusal:
    return Refusal(40401, f"Subject '{subject}' not found.")


def no_version(version: int | str) -> Refusal:
    return Refusal(40402, f"Version {version} not found.")


def no_schema(schema_id: int | str | None = None) -> Refusal:
    return Refusal(40403, "Schema not found" if schema_id is None else f"Schema {schema_id} not found")


def subject_soft_deleted(subject: str) -> Refusal:
    return Refusal(40404, f"Subject '{subject}' was soft deleted. Set permanent=true to delete permanently")


def subject_not_soft_deleted(subject: str) -> Refusal:
    return Refusal(40405, f"Subject '{subject}' was not deleted first before being permanently deleted")


def version_soft_deleted(subject: str, version: int) -> Refusal:
    return Refusal(
        40406, f"Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"
    )


def version_not_soft_deleted(subject: str, version: int) -> Refusal:
    return Refusal(
        40407, f"Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
    )


def no_config(subject: str) -> Refusal:
    return Refusal(40408, f"Subject '{subject}' does not have subject-level compatibility configured")


def no_mode(subject: str) -> Refusal:
    return Refusal(40409, f"Subject '{subject}' does not have subject-level mode configured")


def incompatible(subject: str, messages: Sequence[str]) -> Refusal:
    return Refusal(
        409,
        f'Schema being registered is incompatible with an earlier schema for subject "{subject}", '
        f"details: [{', '.join(messages)}]",
    )


def invalid_schema(why: str) -> Refusal:
    return Refusal(42201, f"Invalid schema: {why}")


def invalid_version(version: str) -> Refusal:
    return Refusal(
        42202,
        f"The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] "
        'and the string "latest"',
    )


def invalid_level(level: str) -> Refusal:
    return Refusal(
        42203,
        f"Invalid compatibility level {level}. Valid values are none, backward, forward, full, backward_transitive, "
        "forward_transitive, and full_transitive",
    )


def invalid_mode(mode: str) -> Refusal:
    return Refusal(42204, f"Invalid mode {mode}. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, and IMPORT")


def not_permitted(what: str) -> Refusal:
    return Refusal(42205, what)


def referenced(subject: str, version: int) -> Refusal:
    return Refusal(42206, f"One or more references exist to the schema {{subject={subject},version={version}}}.")


def unprocessable(why: str) -> Refusal:
    return Refusal(422, why)
