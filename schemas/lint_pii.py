"""Personal data: where it may stand, how it is tagged, and what looks personal and is not tagged."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from schemas.avro import full_name, resolve, space_of, validate
from schemas.contract import PII_CLASSES, AvroType, Contract, Version, pii_field, without_null
from schemas.lint import Finding, at_field

_WORDS = {
    "cpf", "cnpj", "rg", "email", "mail", "phone", "telefone", "celular", "mobile", "address", "endereco", "iban",
    "pix", "passport", "ssn", "birthdate", "birthday", "card", "ip", "device", "surname", "nome",
}  # fmt: skip
_PAIRS = {
    ("first", "name"), ("last", "name"), ("full", "name"), ("customer", "name"), ("holder", "name"), ("user", "name"),
    ("recipient", "name"), ("payer", "name"), ("payee", "name"), ("bank", "account"), ("account", "number"),
    ("birth", "date"),
}  # fmt: skip


def findings(contract: Contract) -> Iterator[Finding]:
    """All that concerns personal fields, over all versions."""
    yield from _forbidden_places(contract)
    for version in contract.versions:
        ids: dict[str, str] = {}
        for item in version.avsc["fields"]:
            if "pii" in item:
                yield from _tagged(contract, version, item, ids)
        yield from _nested(contract, version)
        yield from _untagged(contract, version)
    yield from _changed(contract)


def _forbidden_places(contract: Contract) -> Iterator[Finding]:
    personal = {item.name for item in contract.pii_fields}
    places = (
        ("key", contract.key),
        ("event id", (contract.event_id,)),
        ("tenant", (contract.tenant,)),
        ("sequence", contract.sequence),
        ("event time", (contract.event_time,)),
        ("message key", contract.message_key),
    )
    for place, names in places:
        for name in names:
            if name in personal:
                message = f"`{name}` is personal and part of the {place}, which travels and is stored in clear"
                fix = "use an identifier of the source that is not personal"
                yield at_field(contract, contract.latest.number, name, "PII", message, fix)


def _tagged(contract: Contract, version: Version, item: Mapping[str, Any], ids: dict[str, str]) -> Iterator[Finding]:
    name, cls = item["name"], item["pii"]
    number = version.number
    if cls not in PII_CLASSES:
        yield at_field(contract, number, name, "PII", f"`{cls}` is no class of personal data", ", ".join(PII_CLASSES))
    identity = item.get("id")
    if not isinstance(identity, str) or not identity:
        message = f"`{name}` has no stable `id`; tokens name it, so that they survive a new field name"
        yield at_field(contract, number, name, "PII", message, f'add "id": "{name}"')
    elif ids.setdefault(identity, name) != name:
        message = f"`{name}` and `{ids[identity]}` have the same `id`"
        yield at_field(contract, number, name, "PII", message, "give each its own")
    if not _sealable(item["type"]):
        message = f"`{name}` is personal and no text; only string and array of string can be sealed"
        yield at_field(contract, number, name, "PII", message, "write it as a string")


def _sealable(kind: AvroType) -> bool:
    inner = without_null(kind)
    if isinstance(inner, dict) and inner.get("type") == "array":
        inner = inner["items"]
    return bool(_plain(inner) == "string")


def _plain(kind: AvroType) -> AvroType:
    return kind["type"] if isinstance(kind, dict) and set(kind) == {"type"} else kind


def _nested(contract: Contract, version: Version) -> Iterator[Finding]:
    for depth, item in _walk(version):
        if depth and "pii" in item:
            message = f"`{item['name']}` is personal and lies inside another record, where it cannot be sealed"
            fix = "move it to the top level, as a string or an array of string"
            yield at_field(contract, version.number, item["name"], "PII", message, fix)


def _untagged(contract: Contract, version: Version) -> Iterator[Finding]:
    refs = () if contract.subject is None else (contract.subject.ref_field,)
    for _, item in _walk(version):
        name = item["name"]
        text = _sealable(item["type"])
        if text and "pii" not in item and name not in refs and not name.endswith("_ref") and _looks_personal(name):
            message = f"`{name}` looks personal and has no tag"
            fix = f'add "pii": "<class>", "id": "{name}", or call it by what it is'
            yield at_field(contract, version.number, name, "PII", message, fix, warn=True)


def _looks_personal(name: str) -> bool:
    words = name.lower().strip("_").split("_")
    if words[-1] in ("country", "type", "brand", "status", "verified", "kind"):
        return False
    return bool(_WORDS & set(words)) or any(pair in _PAIRS for pair in pairwise(words))


def _changed(contract: Contract) -> Iterator[Finding]:
    """A tag is never added to or taken from a field that is released: silver and raw hold its old form."""
    first: dict[str, tuple[int, tuple[str, str] | None]] = {}
    classes: dict[str, str] = {}
    for version in contract.versions:
        for item in version.avsc["fields"]:
            name = item["name"]
            tag = (pii_field(item).cls, pii_field(item).id) if "pii" in item else None
            number, known = first.setdefault(name, (version.number, tag))
            if known != tag:
                message = f"the tag of `{name}` differs between versions {number} and {version.number}"
                fix = "leave the field as it was and add a new one"
                yield at_field(contract, version.number, name, "PII", message, fix)
            elif tag is not None and classes.setdefault(tag[1], tag[0]) != tag[0]:
                message = f"the id `{tag[1]}` of `{name}` stands for another class elsewhere"
                yield at_field(contract, version.number, name, "PII", message, "choose another id")


def _walk(version: Version) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every field of the record and of records inside it, with its depth; each named type once."""
    names = validate(version.avsc)
    seen: set[str] = set()

    def walk(kind: AvroType, space: str | None, depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
        if isinstance(kind, list):
            for arm in kind:
                yield from walk(arm, space, depth)
        elif isinstance(kind, str):
            name = resolve(kind, space, names)
            if name in names and name not in seen:
                yield from walk(names[name], space_of(name), depth)
        elif kind["type"] in ("array", "map"):
            yield from walk(kind.get("items", kind.get("values")), space, depth)
        elif kind["type"] == "record":
            name = full_name(kind, space)
            if name not in seen:
                seen.add(name)
                for item in kind["fields"]:
                    yield depth, item
                    yield from walk(item["type"], space_of(name), depth + 1)
        elif isinstance(kind["type"], dict | list):
            yield from walk(kind["type"], space, depth)

    yield from walk(version.avsc, None, 0)
