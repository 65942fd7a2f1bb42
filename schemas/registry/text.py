"""Schema texts: parsed, told apart whatever their white space, and made self-contained by putting references in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.avro import NAMED, PRIMITIVES, SchemaInvalid, full_name, space_of, validate
from schemas.registry.refusals import invalid_schema

_KINDS = [*PRIMITIVES, *NAMED, "array", "map"]


@dataclass(frozen=True, order=True)
class Reference:
    """One schema uses the type `name`, which the version of a subject defines."""

    name: str
    subject: str
    version: int

    def to_json(self) -> dict[str, object]:
        return {"name": self.name, "subject": self.subject, "version": self.version}


@dataclass(frozen=True)
class Text:
    """A schema as it was given, without white space, and the references that it names."""

    text: str
    references: tuple[Reference, ...] = ()

    @property
    def digest(self) -> str:
        """Equal for equal schemas: the order of attributes in the JSON does not count, the order of fields does."""
        body = json.dumps(json.loads(self.text), sort_keys=True, separators=(",", ":"))
        refs = json.dumps([r.to_json() for r in sorted(self.references)], sort_keys=True)
        return hashlib.sha256(f"{body}\n{refs}".encode()).hexdigest()


def parse(schema: object, kind: object, references: object) -> Text:
    """Read the body of a request. Whether the types exist is `inlined`'s to say.

    Raises:
        Refusal: 42201, no JSON, no Avro, or a malformed reference.
    """
    if (kind or "AVRO") != "AVRO":
        raise invalid_schema(f"type {kind} is not supported, AVRO is")
    if not isinstance(schema, str) or not schema.strip():
        raise invalid_schema("Empty schema")
    try:
        tree = json.loads(schema)
    except ValueError:
        # Avro allows a bare type name where JSON asks for quotes.
        if schema.strip() not in PRIMITIVES:
            raise invalid_schema("the text is not JSON") from None
        tree = schema.strip()
    found = []
    for item in references if isinstance(references, list) else []:
        try:
            found.append(Reference(str(item["name"]), str(item["subject"]), int(item["version"])))
        except (TypeError, KeyError, ValueError):
            raise invalid_schema("a reference has a name, a subject and a version") from None
    return Text(json.dumps(tree, separators=(",", ":"), ensure_ascii=False), tuple(found))


def inlined(text: Text, definitions: Mapping[str, Any]) -> Any:
    """The schema with the first mention of each referenced type replaced by its definition, and checked.

    Raises:
        Refusal: 42201, it breaks the Avro specification or names a type that is not there.
    """
    tree = _put_in(json.loads(text.text), None, dict(definitions))
    try:
        validate(tree)
    except SchemaInvalid as error:
        raise invalid_schema(str(error)) from error
    return tree


def _put_in(node: Any, space: str | None, waiting: dict[str, Any]) -> Any:
    if isinstance(node, str):
        for name in (node, f"{space}.{node}" if space else node):
            if node not in PRIMITIVES and name in waiting:
                # Taken out first: a second mention is by name, and a recursive type ends.
                return _put_in(waiting.pop(name), None, waiting)
        return node
    if isinstance(node, list):
        return [_put_in(arm, space, waiting) for arm in node]
    if not isinstance(node, dict):
        return node
    inner = space
    if node.get("type") in NAMED and isinstance(node.get("name"), str):
        inner = space_of(full_name(node, space))
    changed = dict(node)
    if isinstance(node.get("fields"), list):
        changed["fields"] = [
            {**item, "type": _put_in(item["type"], inner, waiting)}
            if isinstance(item, dict) and "type" in item
            else item
            for item in node["fields"]
        ]
    for key in ("items", "values"):
        if key in node:
            changed[key] = _put_in(node[key], inner, waiting)
    # A string here is the node's own kind, unless it names another type.
    if "type" in node and node["type"] not in _KINDS:
        changed["type"] = _put_in(node["type"], inner, waiting)
    return changed
