"""Step 3: schema ids to writer schemas. Ids never change, so what was found once is kept in `raw.schemas` for ever.

A registry that is away, an id that nobody knows and a version newer than the contract known never hold a batch: the
verdict is `waits`, and the records are parked.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from schemas import wire
from schemas.avro import PRIMITIVES, SchemaInvalid, full_name, space_of, validate
from schemas.avro_bounds import unbounded
from schemas.contract import Avro, AvroType, Contract, without_null

Verdict = Literal["decodes", "waits", "incompatible", "plaintext"]
# After a look-up that found nothing, the registry is not asked for the same id again for this long.
ASK_AGAIN_S = 5.0


@dataclass(frozen=True)
class Writer:
    """A schema id's text (references inlined) and, when it belongs to a contract, which version that is."""

    schema_id: int
    text: str
    contract: str | None = None
    version: int | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Resolved:
    """What records of one id are for one contract. `path` names the field of a plaintext verdict."""

    verdict: Verdict
    writer: Writer | None = None
    path: str | None = None


@dataclass(frozen=True)
class Registered:
    """A registry's answer: the text with references inlined, and the (subject, version) pairs that use the id."""

    text: str
    uses: tuple[tuple[str, int], ...]


class Registry(Protocol):
    """The registry as this step sees it."""

    def find(self, schema_id: int) -> Registered | None:
        """The schema of an id, None when there is none. Raises TransientError when the registry is away."""


class Writers:
    """All writer schemas known, and the verdict on each pair of writer and contract, decided once."""

    def __init__(
        self,
        registry: Registry,
        compatible: Callable[[str, str], bool],
        known: Iterable[Writer] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`compatible(reader, writer)` is Avro's own check of two texts; `known` are the rows of `raw.schemas`."""
        self._registry = registry
        self._compatible = compatible
        self._known = {writer.schema_id: writer for writer in known}
        self._kept = set(self._known)
        self._verdicts: dict[tuple[str, int, int], Resolved] = {}
        self._asked: dict[int, float] = {}
        self._now = monotonic

    def release(self, contract: Contract, ids: Mapping[int, int]) -> None:
        """Take in the versions and registry ids of a contract."""
        for number, schema_id in ids.items():
            text = wire.compact(contract.version(number).wire)
            self._known[schema_id] = Writer(schema_id, text, contract.id, number)
        self._asked.clear()
        self._verdicts = {k: v for k, v in self._verdicts.items() if k[0] != contract.id}

    def resolve(self, contract: Contract, schema_id: int) -> Resolved:
        """What the records of `schema_id` are for `contract`, at its newest version known."""
        key = (contract.id, contract.latest.number, schema_id)
        if key not in self._verdicts:
            found = self._decide(contract, schema_id)
            if found.verdict == "waits":
                return found
            self._verdicts[key] = found
        return self._verdicts[key]

    def unkept(self, ids: Iterable[int]) -> list[Writer]:
        """Writers of these ids that `raw.schemas` does not hold yet."""
        return [self._known[i] for i in sorted(set(ids)) if i in self._known and i not in self._kept]

    def kept(self, writers: Iterable[Writer]) -> None:
        """Remember that these are in `raw.schemas` now."""
        self._kept.update(writer.schema_id for writer in writers)

    def _decide(self, contract: Contract, schema_id: int) -> Resolved:
        writer = self._known.get(schema_id)
        if writer is None:
            writer = self._ask(contract, schema_id)
        if writer is None:
            return Resolved("waits")
        newer = writer.version is not None and writer.version > contract.latest.number
        if writer.contract == contract.id and newer:
            return Resolved("waits", writer)
        path = unsealed(contract, json.loads(writer.text))
        if path is not None:
            return Resolved("plaintext", writer, path)
        reader = contract.latest.wire
        fits = _decodable(json.loads(writer.text), reader) and self._compatible(wire.compact(reader), writer.text)
        return Resolved("decodes" if fits else "incompatible", writer)

    def _ask(self, contract: Contract, schema_id: int) -> Writer | None:
        from caudal.errors import TransientError

        now = self._now()
        if now - self._asked.get(schema_id, float("-inf")) < ASK_AGAIN_S:
            return None
        self._asked[schema_id] = now
        try:
            found = self._registry.find(schema_id)
        except TransientError:
            return None
        if found is None:
            return None
        number = next((v for subject, v in found.uses if subject == contract.registry_subject), None)
        if number is not None and number <= contract.latest.number:
            # Registered by other means than a release, yet no newer than what is known: judged by its text.
            number = None
        writer = Writer(schema_id, found.text, contract.id if number is not None else None, number)
        self._known[schema_id] = writer
        return writer


def unsealed(contract: Contract, writer: Avro) -> str | None:
    """The first personal field that this writer schema carries in clear, or None."""
    if not isinstance(writer, dict) or writer.get("type") != "record":
        return None
    fields = {item["name"]: item for item in writer["fields"]}
    space = space_of(full_name(writer, None))
    for pii in contract.pii_fields:
        if pii.name in fields and not _is_sealed(fields[pii.name]["type"], space):
            return pii.name
    return None


def _is_sealed(kind: AvroType, space: str | None) -> bool:
    inner: Any = without_null(kind)
    if isinstance(inner, dict) and inner.get("type") == "array":
        inner = without_null(inner["items"])
    if isinstance(inner, str):
        return inner not in PRIMITIVES and (inner == wire.SEALED or f"{space}.{inner}" == wire.SEALED)
    return isinstance(inner, dict) and inner.get("type") == "record" and full_name(inner, space) == wire.SEALED


def _decodable(writer: AvroType, reader: Avro) -> bool:
    """What Avro's own check of two schemas leaves out: the record's name, bounds, names that its decoder insists on.

    That check compares the last part of names; the decoder takes an enum or a fixed under its full name alone.
    """
    try:
        if _name(writer) != _name(reader) or unbounded(writer) is not None:
            return False
        theirs, ours = validate(writer), validate(reader)
    except SchemaInvalid:
        return False
    known: dict[str, set[str]] = {}
    for name, kind in ours.items():
        known.setdefault(name.rpartition(".")[2], set()).update(_called(name, kind))
    named = (name for name, kind in theirs.items() if kind["type"] in ("enum", "fixed"))
    return all(name in known.get(name.rpartition(".")[2], {name}) for name in named)


def _called(name: str, kind: Mapping[str, Any]) -> set[str]:
    """A named type's full name and its aliases'."""
    space = space_of(name)
    return {name, *(a if "." in a or not space else f"{space}.{a}" for a in kind.get("aliases", ()))}


def _name(schema: AvroType) -> str | None:
    return full_name(schema, None) if isinstance(schema, dict) and "name" in schema else None
