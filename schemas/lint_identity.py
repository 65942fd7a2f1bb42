"""Identity: the fields that say which event this is, whose, and in what order."""

from collections.abc import Iterator
from typing import Any

from schemas import rules
from schemas.contract import Contract, is_nullable
from schemas.lint import Finding, at_field, at_key
from schemas.rule_tree import LONG, STRING, Type

_KEYS = ("string", "long")
_ORDERS = ("string", "long", "timestamp", "date", "decimal")


def findings(contract: Contract) -> Iterator[Finding]:
    """Key, event id, tenant, time and sequence: there in every version, never null, of a type that compares."""
    kinds = rules.columns(contract)
    for role, name, allowed in _roles(contract):
        if kinds[name].name not in (*allowed, "sealed"):
            message = f"{role} `{name}` cannot be a {kinds[name]}"
            yield at_field(contract, contract.latest.number, name, "TYPE", message, f"use {' or '.join(allowed)}")
        yield from _always_there(contract, role, name)
    yield from _identifiers(contract, kinds)
    yield from _mode(contract, kinds)


def _roles(contract: Contract) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    yield "the event id", contract.event_id, ("string",)
    yield "the tenant", contract.tenant, ("string",)
    yield "the event time", contract.event_time, ("timestamp",)
    for name in contract.key:
        yield "the key", name, _KEYS
    for name in contract.sequence:
        yield "the sequence", name, _ORDERS


def _always_there(contract: Contract, role: str, name: str) -> Iterator[Finding]:
    newest: Any = None
    for version in reversed(contract.versions):
        item = next((f for f in version.avsc["fields"] if f["name"] == name), None)
        if item is None:
            message = f"{role} `{name}` is not in version {version.number}; older records would have none"
            yield at_field(contract, version.number, None, "FIELD", message, "keep the field of version 1")
            continue
        if is_nullable(item["type"]):
            message = f"{role} `{name}` may be null"
            yield at_field(contract, version.number, name, "TYPE", message, "take `null` out of its type")
        newest = newest or item
        if item["type"] != newest["type"]:
            message = f"{role} `{name}` changes its type between versions"
            yield at_field(contract, version.number, name, "TYPE", message, "keep the type of version 1")


def _identifiers(contract: Contract, kinds: dict[str, Type]) -> Iterator[Finding]:
    named = [] if contract.subject is None else [("subject", name) for name in contract.subject.by]
    if contract.subject is not None and contract.subject.ref_field is not None:
        named.append(("subject", contract.subject.ref_field))
        if kinds[contract.subject.ref_field].name == "sealed":
            message = f"`{contract.subject.ref_field}` is personal; `from` takes a field that holds a ref already"
            yield at_key(contract, "subject", "PII", message, f"by: [{contract.subject.ref_field}]")
    named += [("refs", name) for name in contract.refs.values()]
    for key, name in named:
        if kinds[name].name not in ("string", "sealed"):
            message = f"the identifier `{name}` is a {kinds[name]}; the vault finds people and things by text"
            yield at_key(contract, key, "TYPE", message, "use a string field")
    for name in contract.refs:
        if not name.isidentifier() or name == "subject":
            yield at_key(contract, "refs", "NAME", f"`{name}` is no name for a ref", "use small letters, digits and _")


def _mode(contract: Contract, kinds: dict[str, Type]) -> Iterator[Finding]:
    if contract.mode == "append":
        if contract.history:
            message = "an append contract keeps every event anyway"
            yield at_key(contract, "history", "KEY", message, "leave `history` out")
        return
    if contract.ignore_null_updates and contract.mode != "cdc":
        message = "only change records can leave a field out; here a null is a value"
        yield at_key(contract, "ignore_null_updates", "KEY", message, "leave it out, or use mode: cdc")
    if contract.tenant not in contract.key:
        message = f"the tenant `{contract.tenant}` is not part of the key; two tenants could overwrite each other"
        yield at_key(contract, "key", "KEY", message, f"key: [{contract.tenant}, …]")
    if contract.mode != "cdc":
        return
    for name, kind in (("_op", STRING), ("_sequence", LONG)):
        if kinds.get(name) != kind:
            yield at_key(contract, "mode", "FIELD", f"a cdc record has a field `{name}`", f"add `{name}` as a {kind}")
