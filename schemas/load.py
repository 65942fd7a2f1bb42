"""Read contracts from their folders. What is written wrongly is refused with file, line and what to write.

Only form is judged here (keys, types, names, that mentioned fields exist); what a contract may not do is `lint`'s.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from schemas import document, duration, wire
from schemas.avro import SchemaInvalid, validate
from schemas.contract import (
    MODES,
    Avro,
    Catalog,
    Contract,
    Evolution,
    Retention,
    Rule,
    SlaProperty,
    Subject,
    Version,
)
from schemas.document import Document
from schemas.errors import ContractError

CONTRACT_FILE = "contract.yml"
BUILT_IN_ROOT = Path(__file__).parent / "contracts"
BUILT_IN = ("caudal.rejected",)
LEVELS = (
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE",
)  # fmt: skip
_ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_RULE_CODE = re.compile(r"[A-Z][A-Z0-9_]*")
_VERSION_FILE = re.compile(r"v([1-9][0-9]*)\.avsc")
_REQUIRED = ("id", "description", "owner", "mode", "event_id", "event_time", "tenant")
_OPTIONAL = (
    "key", "sequence", "subject", "refs", "lateness", "evolution", "ingress", "history", "quality", "slaProperties",
    "retention",
)  # fmt: skip


def load_catalog(root: Path) -> Catalog:
    """All contracts under `root/<domain>/<event>/`, and the built-in ones when the folder does not hold them.

    Raises ContractError for the first contract that cannot be read. `load_each` goes on instead.
    """
    contracts: list[Contract] = []
    for found in load_each(root):
        if isinstance(found, ContractError):
            raise found
        contracts.append(found)
    return Catalog({contract.id: contract for contract in contracts})


def load_each(root: Path) -> Iterable[Contract | ContractError]:
    """Each contract under the root, or why it cannot be read. Two folders cannot hold one id: the id is the path."""
    seen: set[str] = set()
    for folder in sorted(p.parent for p in root.glob(f"*/*/{CONTRACT_FILE}")):
        seen.add(f"{folder.parent.name}.{folder.name}")
        try:
            yield load_contract(folder)
        except ContractError as error:
            yield error
    for name in BUILT_IN:
        if name not in seen:
            yield load_contract(BUILT_IN_ROOT.joinpath(*name.split(".")))


def load_contract(path: Path) -> Contract:
    """The contract of a folder (or of its contract.yml). Raises ContractError."""
    folder = path if path.is_dir() else path.parent
    doc = document.read(folder / CONTRACT_FILE)
    contract = _contract(doc, folder)
    versions = tuple(_version(contract, number, file) for number, file in _version_files(doc, folder))
    contract = replace(contract, versions=versions)
    _check_mentions(doc, contract)
    return contract


def read_avsc(file: Path) -> Avro:
    """A record schema from a file; ContractError when it is no JSON or no Avro record."""
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError("AVRO", "the schema cannot be read", file=file, why=type(error).__name__) from error
    except ValueError as error:
        raise ContractError(
            "AVRO", "the schema is no valid JSON", file=file, line=getattr(error, "lineno", None), why=str(error)
        ) from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise ContractError(
            "AVRO", "an event is an Avro record", file=file, line=1, fix='begin with {"type": "record", "name": …}'
        )
    try:
        validate(schema)
    except SchemaInvalid as error:
        raise ContractError(
            "AVRO",
            f"the schema is no valid Avro: {error}",
            file=file,
            line=line_of(file, error.name),
            fix="see the Avro 1.12 specification, `Schema Declaration`",
        ) from error
    return schema


def line_of(file: Path, field: str | None) -> int | None:
    """The line that names an Avro field, or None when no line does."""
    if field is None:
        return None
    wanted = re.compile(rf'"name"\s*:\s*"{re.escape(field)}"')
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if wanted.search(line):
            return number
    return None


def _version_files(doc: Document, folder: Path) -> list[tuple[int, Path]]:
    found = sorted((int(m[1]), f) for f in folder.glob("v*.avsc") if (m := _VERSION_FILE.fullmatch(f.name)))
    numbers = [number for number, _ in found]
    if not numbers:
        raise doc.error("AVRO", "the contract has no schema", fix="write v1.avsc beside contract.yml")
    if numbers != list(range(1, len(numbers) + 1)):
        missing = min(set(range(1, numbers[-1])) - set(numbers))
        raise doc.error(
            "AVRO", f"v{missing}.avsc is missing", why="versions count 1, 2, 3 … without gaps", fix="restore the file"
        )
    return found


def _version(contract: Contract, number: int, file: Path) -> Version:
    avsc = read_avsc(file)
    derived = wire.derive(contract, avsc)
    # Two equal names in the derived record mean that a field is called like one that the wire adds.
    names = [item["name"] for item in derived["fields"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ContractError(
            "FIELD",
            f"the name `{twice}` is taken: the wire schema adds such a field itself",
            file=file,
            line=line_of(file, twice),
            fix="give the field another name",
        )
    return Version(number, avsc, derived)


def _contract(doc: Document, folder: Path) -> Contract:
    _known_keys(doc, doc.data, (), _REQUIRED, _OPTIONAL)
    identity = _text(doc, "id")
    if not _ID.fullmatch(identity):
        raise doc.error("NAME", "an id is <domain>.<event>", ("id",), fix="use small letters, digits and _")
    if identity != f"{folder.parent.name}.{folder.name}":
        raise doc.error(
            "NAME", f"the id `{identity}` does not fit its folder", ("id",), fix="keep it in <domain>/<event>/"
        )
    mode = _choice(doc, ("mode",), MODES, None)
    key, sequence = _names(doc, "key"), _names(doc, "sequence")
    for name, value in (("key", key), ("sequence", sequence)):
        if mode != "append" and not value:
            why = f"mode {mode} needs it"
            raise doc.error("KEY", f"`{name}` is missing", ("mode",), why=why, fix=f"{name}: [field]")
    refs = _section(doc, ("refs",))
    return Contract(
        id=identity,
        description=_text(doc, "description"),
        owner=_text(doc, "owner"),
        mode=mode,
        key=key,
        event_id=_text(doc, "event_id"),
        event_time=_text(doc, "event_time"),
        sequence=sequence,
        tenant=_text(doc, "tenant"),
        subject=_subject(doc),
        refs={name: _text(doc, "refs", name) for name in refs},
        lateness=_duration(doc, ("lateness",), timedelta(days=7)),
        evolution=_evolution(doc),
        ingress=_choice(doc, ("ingress",), ("sealed", "plaintext"), "sealed"),
        history=_flag(doc, "history"),
        quality=_rules(doc),
        sla=_sla(doc),
        retention=_retention(doc),
        source_dir=folder,
    )


def _subject(doc: Document) -> Subject | None:
    found = _section(doc, ("subject",))
    if not found:
        return None
    _known_keys(doc, found, ("subject",), ("kind",), ("by", "from"))
    if ("by" in found) == ("from" in found):
        raise doc.error(
            "VALUE", "a subject is found `by` identifiers or taken `from` a field", ("subject",),
            fix="subject: {kind: customer, by: [customer_id]}",
        )  # fmt: skip
    kind = _text(doc, "subject", "kind")
    if "from" in found:
        return Subject(kind, ref_field=_text(doc, "subject", "from"))
    return Subject(kind, by=_names(doc, "subject", "by"))


def _evolution(doc: Document) -> Evolution:
    found = _section(doc, ("evolution",))
    _known_keys(doc, found, ("evolution",), (), ("compatibility", "on_incompatible"))
    return Evolution(
        _choice(doc, ("evolution", "compatibility"), LEVELS, "BACKWARD_TRANSITIVE"),
        _choice(doc, ("evolution", "on_incompatible"), ("dead_letter", "pause"), "dead_letter"),
    )


def _rules(doc: Document) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for index, item in enumerate(_list(doc, "quality")):
        place = ("quality", index)
        _known_keys(doc, item, place, ("code", "rule"), ("on_fail", "nulls"))
        code = _text(doc, *place, "code")
        if not _RULE_CODE.fullmatch(code) or code in {rule.code for rule in rules}:
            raise doc.error(
                "RULE", f"`{code}` is no code of its own", (*place, "code"), fix="use A-Z, 0-9 and _, each code once"
            )
        rules.append(
            Rule(
                code,
                _text(doc, *place, "rule"),
                _choice(doc, (*place, "on_fail"), ("reject", "warn"), "reject"),
                _choice(doc, (*place, "nulls"), ("pass", "fail"), "pass"),
            )
        )
    return tuple(rules)


def _sla(doc: Document) -> tuple[SlaProperty, ...]:
    out: list[SlaProperty] = []
    for index, item in enumerate(_list(doc, "slaProperties")):
        place = ("slaProperties", index)
        _known_keys(doc, item, place, ("property", "value"), ("unit",))
        value = item["value"]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise doc.error("VALUE", "`value` is a number", (*place, "value"), fix="value: 60")
        out.append(SlaProperty(_text(doc, *place, "property"), float(value), str(item.get("unit", ""))))
    return tuple(out)


def _retention(doc: Document) -> Retention:
    found = _section(doc, ("retention",))
    _known_keys(doc, found, ("retention",), (), ("topic", "tables"))
    default = Retention()
    return Retention(
        _duration(doc, ("retention", "topic"), default.topic), _duration(doc, ("retention", "tables"), default.tables)
    )


def _check_mentions(doc: Document, contract: Contract) -> None:
    """Every field that the YAML names is a top-level field of the newest version."""
    known = [str(item["name"]) for item in contract.latest.avsc["fields"]]
    mentioned: list[tuple[document.Place, str]] = [
        ((name,), getattr(contract, name)) for name in ("event_id", "event_time", "tenant")
    ]
    mentioned += [(("key", i), name) for i, name in enumerate(contract.key)]
    mentioned += [(("sequence", i), name) for i, name in enumerate(contract.sequence)]
    mentioned += [(("refs", ref), name) for ref, name in contract.refs.items()]
    if contract.subject is not None:
        mentioned += [(("subject", "by", i), name) for i, name in enumerate(contract.subject.by)]
        if contract.subject.ref_field is not None:
            mentioned.append((("subject", "from"), contract.subject.ref_field))
    for place, name in mentioned:
        if name not in known:
            raise doc.error(
                "FIELD",
                f"there is no field `{name}`",
                place,
                why=f"v{contract.latest.number}.avsc does not have it at its top level",
                fix=_suggest(name, known),
            )


def _known_keys(
    doc: Document, found: Any, place: document.Place, required: Iterable[str], optional: Iterable[str]
) -> None:
    required = tuple(required)
    known = (*required, *optional)
    if not isinstance(found, dict):
        raise doc.error("VALUE", f"`{place[-1] if place else 'contract'}` holds names and values", place)
    for name in found:
        if name not in known:
            raise doc.error("KEY", f"`{name}` is no part of a contract", (*place, name), fix=_suggest(name, known))
    for name in required:
        if found.get(name) in (None, ""):
            raise doc.error("KEY", f"`{name}` is missing", place, fix=f"add `{name}: …`")


def _suggest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean `{near[0]}`?" if near else f"one of: {', '.join(known)}"


def _at(doc: Document, place: document.Place) -> Any:
    value: Any = doc.data
    for part in place:
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def _text(doc: Document, *place: str | int) -> str:
    value = _at(doc, place)
    if not isinstance(value, str) or not value.strip():
        raise doc.error("VALUE", f"`{place[-1]}` is a text", place, fix=f"{place[-1]}: some_text")
    return value.strip()


def _names(doc: Document, *place: str | int) -> tuple[str, ...]:
    value = _at(doc, place)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value) or not value:
        raise doc.error("VALUE", f"`{place[-1]}` is a list of field names", place, fix=f"{place[-1]}: [field]")
    if len(set(value)) != len(value):
        raise doc.error("VALUE", f"`{place[-1]}` names a field twice", place, fix="keep one of the two")
    return tuple(value)


def _list(doc: Document, name: str) -> list[Any]:
    value = doc.data.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise doc.error("VALUE", f"`{name}` is a list", (name,), fix=f"{name}: [{{…}}]")
    return value


def _section(doc: Document, place: document.Place) -> dict[str, Any]:
    value = _at(doc, place)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise doc.error("VALUE", f"`{place[-1]}` holds names and values", place, fix=f"{place[-1]}: {{name: value}}")
    return value


def _choice(doc: Document, place: document.Place, allowed: Iterable[str], default: str | None) -> Any:
    allowed = tuple(allowed)
    value = _at(doc, place)
    if value is None and default is not None:
        return default
    if value not in allowed:
        raise doc.error("VALUE", f"`{place[-1]}` cannot be `{value}`", place, fix=f"one of: {', '.join(allowed)}")
    return value


def _flag(doc: Document, name: str) -> bool:
    value = doc.data.get(name, False)
    if not isinstance(value, bool):
        raise doc.error("VALUE", f"`{name}` is true or false", (name,), fix=f"{name}: true")
    return value


def _duration(doc: Document, place: document.Place, default: timedelta) -> timedelta:
    value = _at(doc, place)
    if value is None:
        return default
    try:
        return duration.parse(str(value))
    except ValueError:
        raise doc.error(
            "VALUE", f"`{place[-1]}` is a duration", place, why=f"`{value}` is not", fix="P7D, PT1H or P2Y (ISO 8601)"
        ) from None
