"""Kafka bytes to records, judged as silver judges them: what is a dead letter there never touches a state here.

Codes: CDL-MAGIC, CDL-GARBAGE, CDL-TRAILING, CDL-NULL, CDL-UNKNOWN-ID, CDL-PLAINTEXT, CDL-FUTURE, CDL-RULE-<code>.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import fastavro

from privacy.masks import is_mask
from schemas import rules
from schemas.contract import Avro, Contract
from serving.errors import Refused
from serving.features.facts import epoch_ms

if TYPE_CHECKING:
    from schemas.distribution import Released

FUTURE_MS = 5 * 60 * 1000
_HEADER = struct.Struct(">bI")


class Judge:
    """Decodes and judges the records of one contract's release."""

    def __init__(self, released: Released) -> None:
        self.released = released
        contract = released.contract
        self._schemas: dict[int, Any] = {
            registry_id: parse(contract.version(number).wire) for number, registry_id in released.ids.items()
        }
        self._pii = [(item.name, item.cls) for item in contract.pii_fields]
        self._rules = [
            (rule.dead_letter_code, rules.compile_python(rule, contract))
            for rule in contract.quality
            if rule.on_fail == "reject"
        ]
        self._event_time = contract.event_time

    @property
    def contract(self) -> Contract:
        return self.released.contract

    def read(self, value: bytes | None) -> dict[str, Any]:
        """The wire record. Raises Refused with the code that silver gives it too."""
        record = self.decode(value)
        self._masks(record)
        origin = record["origin"]
        if epoch_ms(record[self._event_time]) > epoch_ms(origin["observed_at"]) + FUTURE_MS:
            raise Refused("CDL-FUTURE", self._event_time)
        for code, passes in self._rules:
            if not passes(record):
                raise Refused(code)
        return record

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """The wire record without judging what it says."""
        if value is None:
            raise Refused("CDL-NULL")
        if len(value) < _HEADER.size or value[0] != 0:
            raise Refused("CDL-MAGIC")
        _, registry_id = _HEADER.unpack_from(value)
        schema = self._schemas.get(registry_id)
        if schema is None:
            raise Refused("CDL-UNKNOWN-ID")
        return decode_body(value[_HEADER.size :], schema)

    def _masks(self, record: Mapping[str, Any]) -> None:
        for name, cls in self._pii:
            sealed = record.get(name)
            for item in sealed if isinstance(sealed, list) else [sealed]:
                mask = item.get("mask") if item else None
                if mask is not None and not is_mask(cls, mask):
                    raise Refused("CDL-PLAINTEXT", name)


class Judges:
    """Judges by contract; follows releases as they come."""

    def __init__(self, released: Callable[[str], Released]) -> None:
        self._released = released
        self._judges: dict[str, Judge] = {}

    def read(self, contract_id: str, value: bytes | None) -> dict[str, Any]:
        """The judged wire record. Raises Refused, UnknownContract, TransientError."""
        return self.judge(contract_id).read(value)

    def judge(self, contract_id: str) -> Judge:
        """The judge of the contract's newest release."""
        released = self._released(contract_id)
        known = self._judges.get(contract_id)
        if known is None or known.released is not released:
            known = self._judges[contract_id] = Judge(released)
        return known


def parse(schema: Avro) -> Any:
    """A schema ready for fastavro, with a table of names of its own: two contracts may define types of one name."""
    return fastavro.parse_schema(json.loads(json.dumps(schema)), named_schemas={})


def decode_body(body: bytes, schema: Any) -> dict[str, Any]:
    """An Avro body to the end. Raises Refused for garbage and for trailing bytes."""
    stream = io.BytesIO(body)
    try:
        record = fastavro.schemaless_reader(stream, schema, None)
    # Garbage makes fastavro raise whatever its bytes lead to; all of it means the same.
    except Exception as error:
        raise Refused("CDL-GARBAGE") from error
    if stream.tell() != len(body):
        raise Refused("CDL-TRAILING")
    if not isinstance(record, dict):
        raise Refused("CDL-GARBAGE")
    return record
