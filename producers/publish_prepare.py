"""From event to bytes: validate, judge, seal, encode, for one version of one contract."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from privacy.seal import Sealer
from producers.encode import compile_encoder, message_key
from producers.errors import RecordRefused
from producers.validate import compile_validator
from producers.validate_values import NO_FIELD, Invalid
from schemas import rules
from schemas.contract import Contract
from schemas.wire import ORIGIN_FIELD, SUBJECT_REF, ref_columns

if TYPE_CHECKING:
    from schemas.distribution import Released

FUTURE, TOO_LARGE, TENANT = "CDL-FUTURE", "CDL-TOO-LARGE", "CDL-TENANT"
FUTURE_MS = 5 * 60 * 1000  # an event may be this far ahead of its observation: clocks of shops differ
Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A record ready for Kafka, nothing personal in clear. `value` None is a delete. Times are epoch milliseconds."""

    contract_id: str
    version: int
    tenant: str
    event_id: str
    key: bytes
    value: bytes | None
    headers: Headers = ()
    wire: Mapping[str, Any] = field(default_factory=dict)
    observed_at: int = 0
    published_at: int = 0
    flags: tuple[str, ...] = ()
    """Fields whose check digits are wrong."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that does not fit: code, the field's path, its position in the batch. Never a value."""

    code: str
    path: str
    index: int = 0

    def error(self, contract_id: str) -> RecordRefused:
        """The same as an exception."""
        return RecordRefused(self.code, self.path, contract=contract_id, index=self.index)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a batch comes from. `observed_at` and `positions` are per record, or one observation for all."""

    source: str
    run: str | None
    published_at: int
    observed_at: int | Sequence[int]
    positions: Sequence[str | None] | None = None
    headers: Headers = ()

    def observed(self, index: int) -> int:
        """When the source saw the record, epoch milliseconds."""
        return self.observed_at if isinstance(self.observed_at, int) else self.observed_at[index]

    def record(self, index: int) -> dict[str, object]:
        """The origin as the wire schema has it."""
        return {
            "source": self.source,
            "run": self.run,
            "position": self.positions[index] if self.positions is not None else None,
            "observed_at": self.observed(index),
            "published_at": self.published_at,
        }


_Rule = tuple[str, Callable[[Mapping[str, object]], bool]]


class Recipe:
    """Everything compiled that one version of one contract needs."""

    def __init__(self, released: "Released", version: int, sealer: Sealer, max_bytes: int) -> None:
        """Raises KeyError for a version that was not released."""
        contract = released.contract
        found = contract.version(version)
        self.contract, self.version = contract, version
        self._validate = compile_validator(found.avsc)
        self._encode = compile_encoder(found.wire, released.ids[version])
        self._sealer, self._max_bytes = sealer, max_bytes
        self._required = tuple(dict.fromkeys((contract.event_id, contract.tenant, *contract.message_key)))
        self._before, self._after = _rules(contract)

    def prepare(self, events: Sequence[Mapping[str, object]], origin: Origin) -> list[Prepared | Refused]:
        """One answer per event, in order. Raises TransientError when the vault is away; then nothing was decided."""
        out: list[Prepared | Refused] = []
        valid: list[tuple[int, dict[str, Any]]] = []
        for index, event in enumerate(events):
            checked = self._check(event, origin.observed(index), index)
            out.append(checked if isinstance(checked, Refused) else _PENDING)
            if not isinstance(checked, Refused):
                valid.append((index, checked))
        sealed = self._sealer.seal([event for _, event in valid]) if valid else []
        for (index, event), wire in zip(valid, sealed, strict=True):
            out[index] = self._finish(event, wire, origin, index)
        return out

    def _check(self, event: Mapping[str, object], observed_at: int, index: int) -> dict[str, Any] | Refused:
        try:
            checked = self._validate(event)
        except Invalid as error:
            return Refused(error.code, error.path, index)
        for name in self._required:
            if checked[name] is None or checked[name] == "":
                return Refused(NO_FIELD, name, index)
        event_time = checked[self.contract.event_time]
        if isinstance(event_time, int) and event_time > observed_at + FUTURE_MS:
            return Refused(FUTURE, self.contract.event_time, index)
        broken = _broken(self._before, checked)
        return Refused(broken, "", index) if broken else checked

    def _finish(
        self, event: Mapping[str, Any], wire: dict[str, object], origin: Origin, index: int
    ) -> Prepared | Refused:
        broken = _broken(self._after, wire)
        if broken:
            return Refused(broken, "", index)
        contract = self.contract
        wire[ORIGIN_FIELD] = origin.record(index)
        key = message_key([event[name] for name in contract.message_key])
        value = self._encode(wire)
        if len(key) + len(value) > self._max_bytes:
            return Refused(TOO_LARGE, "", index)
        return Prepared(
            contract_id=contract.id,
            version=self.version,
            tenant=str(event[contract.tenant]),
            event_id=str(event[contract.event_id]),
            key=key,
            value=value,
            headers=origin.headers,
            wire=wire,
            observed_at=origin.observed(index),
            published_at=origin.published_at,
            flags=self._sealer.flags(event),
        )


_PENDING = Refused("", "")


def _rules(contract: Contract) -> tuple[tuple[_Rule, ...], tuple[_Rule, ...]]:
    """Rules that refuse a record: those on its own fields, judged before anything is sealed, and those on refs."""
    refs = {SUBJECT_REF, *ref_columns(contract.refs)}
    before: list[_Rule] = []
    after: list[_Rule] = []
    for rule in contract.quality:
        if rule.on_fail == "reject":
            columns = {column.name for column in sqlglot.parse_one(rule.rule, dialect="spark").find_all(exp.Column)}
            compiled = (rule.dead_letter_code, rules.compile_python(rule, contract))
            (after if columns & refs else before).append(compiled)
    return tuple(before), tuple(after)


def _broken(judged: Sequence[_Rule], record: Mapping[str, object]) -> str | None:
    return next((code for code, passes in judged if not passes(record)), None)
