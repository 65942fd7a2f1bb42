"""The wire schema: what travels in Kafka. Derived from the contract, committed beside it, held equal by a test."""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from schemas.contract import Avro, AvroType, is_nullable

SEALED = "caudal.Sealed"
ORIGIN = "caudal.Origin"
SUBJECT_REF = "subject_ref"
ORIGIN_FIELD = "origin"
_WIDTH = 110

_TIME = {"type": "long", "logicalType": "timestamp-millis"}
_SEALED_RECORD: Avro = {
    "type": "record",
    "name": "Sealed",
    "namespace": "caudal",
    "doc": "A personal value: what people may see of it, and its ciphertext under the person's key",
    "fields": [{"name": "mask", "type": ["null", "string"], "default": None}, {"name": "token", "type": "bytes"}],
}
_ORIGIN_RECORD: Avro = {
    "type": "record",
    "name": "Origin",
    "namespace": "caudal",
    "doc": "Where a record came from, and its two clocks: the source's own and the publisher's",
    "fields": [
        {"name": "source", "type": "string"},
        {"name": "run", "type": ["null", "string"], "default": None},
        {"name": "position", "type": ["null", "string"], "default": None},
        {"name": "observed_at", "type": _TIME},
        {"name": "published_at", "type": _TIME},
    ],
}


class HasRefs(Protocol):
    """What of a contract the wire schema depends on, besides the Avro text."""

    @property
    def refs(self) -> Mapping[str, str]: ...


def derive(meta: HasRefs, avsc: Avro) -> Avro:
    """The wire schema of `avsc`: fields in place (personal ones sealed), subject_ref, `<name>_ref` sorted, origin.

    A named type stands in full at its first use and by name afterwards, as Avro wants it.
    """
    fields: list[dict[str, Any]] = []
    defined = False
    for item in avsc["fields"]:
        if "pii" in item:
            fields.append(_sealed_field(item, SEALED if defined else _SEALED_RECORD))
            defined = True
        else:
            fields.append(dict(item))
    # A ref whose field a version does not have is not on that version's wire: a new ref comes with a new field, and
    # what is released stays as it is.
    present = {ref: field for ref, field in meta.refs.items() if any(item["name"] == field for item in avsc["fields"])}
    fields += [
        {"name": name, "type": ["null", "string"], "default": None} for name in (SUBJECT_REF, *ref_columns(present))
    ]
    fields.append({"name": ORIGIN_FIELD, "type": _ORIGIN_RECORD})
    wire = {**avsc, "fields": fields}
    # A private copy: nobody who holds the wire schema can change the constants above.
    copied: Avro = json.loads(json.dumps(wire))
    return copied


def ref_columns(refs: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the ref fields, sorted: `card` gives `card_ref`."""
    return tuple(f"{name}_ref" for name in sorted(refs))


def text(schema: Avro) -> str:
    """The committed form of a schema: what fits stands on one line, keys in the order written."""
    return _pretty(schema, 0) + "\n"


def compact(schema: Avro) -> str:
    """The form that goes to the registry and to Spark: one line."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def _sealed_field(item: Mapping[str, Any], sealed: AvroType) -> dict[str, Any]:
    kind = item["type"]
    inner = next((arm for arm in kind if arm != "null"), "null") if isinstance(kind, list) else kind
    rest = {name: value for name, value in item.items() if name not in {"type", "default"}}
    if isinstance(inner, dict) and inner.get("type") == "array":
        array: AvroType = {"type": "array", "items": sealed}
        if is_nullable(kind):
            return {**rest, "type": ["null", array], "default": None}
        return {**rest, "type": array, **({"default": []} if "default" in item else {})}
    return {**rest, "type": ["null", sealed], "default": None}


def _pretty(value: object, indent: int) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= _WIDTH or not isinstance(value, dict | list):
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{pad}{json.dumps(k)}: {_pretty(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + _pretty(v, indent + 2) for v in value) + "\n" + " " * indent + "]"
