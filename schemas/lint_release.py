"""Versions: what is released stays as it is, and what comes after can be read by those the contract promises."""

from collections.abc import Iterator

from schemas.compare import Incompatibility, check
from schemas.contract import Avro, Contract, full_name
from schemas.lint import Finding, at_field, at_key

_FIXED = ("mode", "key", "event_id", "event_time", "sequence", "tenant")


def findings(contract: Contract, released: Contract | None) -> Iterator[Finding]:
    """Full names over versions, compatibility over versions, and every difference from what is released."""
    yield from _names(contract)
    yield from _compatibility(contract)
    if released is not None:
        yield from _released(contract, released)


def _names(contract: Contract) -> Iterator[Finding]:
    first = full_name(contract.versions[0].avsc)
    for version in contract.versions[1:]:
        name = full_name(version.avsc)
        if name != first:
            message = f"the record is called `{name}` in version {version.number} and `{first}` before"
            why = "keep the full name: readers find a renamed record's fields empty, without any error"
            yield at_field(contract, version.number, version.avsc["name"], "NAME", message, why)


def _compatibility(contract: Contract) -> Iterator[Finding]:
    level = contract.evolution.compatibility
    for index, version in enumerate(contract.versions):
        olds = contract.versions[:index]
        # The wire follows from the contract's text, and is what readers meet: both have to fit.
        problems = check(level, version.avsc, [old.avsc for old in olds])
        problems = problems or check(level, version.wire, [old.wire for old in olds])
        for problem in problems:
            older = "" if problem.old is None else f" with version {olds[problem.old].number}"
            message = f"version {version.number} is not {level} compatible{older}: {problem.message}"
            field = _field_at(version.avsc, problem)
            fix = "new fields need a default; another type or name is a new field"
            yield at_field(contract, version.number, field, "COMPATIBILITY", message, fix)


def _field_at(avsc: Avro, problem: Incompatibility) -> str | None:
    parts = problem.path.split("/")
    if len(parts) > 2 and parts[1] == "fields" and parts[2].isdigit() and problem.reads == "new":
        fields = avsc["fields"]
        return str(fields[int(parts[2])]["name"]) if int(parts[2]) < len(fields) else None
    return None


def _released(contract: Contract, released: Contract) -> Iterator[Finding]:
    for name in _FIXED:
        if getattr(contract, name) != getattr(released, name):
            message = f"`{name}` of a released contract never changes: keys and tables are built on it"
            yield at_key(contract, name, "RELEASED", message, "make a new contract")
    for old in released.versions:
        new = next((v for v in contract.versions if v.number == old.number), None)
        if new is None:
            message = f"version {old.number} is released and its schema is gone"
            yield at_field(contract, old.number, None, "RELEASED", message, f"restore v{old.number}.avsc")
        # Compared as parsed: white space and the order of keys in a file are no change.
        elif new.avsc != old.avsc:
            message = f"version {old.number} is released and its schema has changed"
            fix = f"restore v{old.number}.avsc and write v{contract.latest.number + 1}.avsc"
            yield at_field(contract, old.number, None, "RELEASED", message, fix)
        elif new.wire != old.wire:
            message = f"version {old.number} is released and `refs` would change what travels"
            yield at_key(contract, "refs", "RELEASED", message, "bring a new ref with a new field, in a new version")
