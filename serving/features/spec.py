"""Feature specifications: `schemas/features/<name>.yml` as values. Refuses what it does not know."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import yaml

from schemas import duration
from serving.errors import SpecError

DAY_MS = 86_400_000
LABELS = {3_600_000 * 24: "24h"}
REQUEST = ("amount", "hour", "night", "weekend", "amount_to_mean")
AGGREGATES = ("count", "sum", "mean")


@dataclass(frozen=True)
class Window:
    """`(as_of - ms, as_of]`, and how names of features call it."""

    label: str
    ms: int


@dataclass(frozen=True)
class Entity:
    """One kind of entity: where its ref stands in the source, what its records hold, what is folded from them.

    Windows go from short to long.
    `distinct` pairs a plural with the record's slot (0 or 1); `risk_delay_ms` 0 means no label risk.
    """

    name: str
    ref: str
    holds: tuple[str, str]
    cap: int
    windows: tuple[Window, ...]
    aggregates: tuple[str, ...]
    distinct: tuple[tuple[str, int], ...]
    since_last: bool
    account_age: bool
    risk_delay_ms: int

    @cached_property
    def lookback_ms(self) -> int:
        """How far behind `as_of` a record can still matter."""
        return max(w.ms for w in self.windows) + self.risk_delay_ms

    @property
    def keep_ms(self) -> int:
        """How far behind the newest record one is kept: one day more, so that records up to a day late are exact."""
        return self.lookback_ms + DAY_MS

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the folded values, in the order `fold` gives them."""
        out: list[str] = []
        for window in self.windows:
            out += [f"{self.name}.{a}_{window.label}" for a in self.aggregates]
            out += [f"{self.name}.distinct_{plural}_{window.label}" for plural, _ in self.distinct]
            if self.risk_delay_ms:
                out += [f"{self.name}.known_count_{window.label}", f"{self.name}.risk_{window.label}"]
        if self.since_last:
            out.append(f"{self.name}.seconds_since_last")
        if self.account_age:
            out.append(f"{self.name}.account_age_days")
        return (*out, f"{self.name}.exact")


@dataclass(frozen=True)
class FeatureSpec:
    """A whole specification. `digest` is the hash of its meaning, part of what a decision names."""

    id: str
    version: int
    source: str
    labels: str
    accounts: str
    amount: str
    entities: tuple[Entity, ...]
    request: tuple[str, ...]
    digest: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All features, in the order of a vector: request first, then by entity."""
        return (*self.request, *(name for e in self.entities for name in e.names))

    @property
    def label(self) -> str:
        """What a decision calls these features."""
        return f"{self.id}-{self.version}-{self.digest}"

    def entity(self, name: str) -> Entity:
        """The entity of that name; KeyError when there is none."""
        for entity in self.entities:
            if entity.name == name:
                return entity
        raise KeyError(name)


def load(name: str = "payments") -> FeatureSpec:
    """Read the specification that ships as `schemas/features/<name>.yml`. Raises SpecError."""
    file = files("schemas").joinpath("features", f"{name}.yml")
    try:
        return parse(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SpecError("there is no such feature specification", where=f"{name}.yml") from error


def parse(text: str) -> FeatureSpec:
    """A specification from its text. Raises SpecError naming the entry that does not fit."""
    try:
        raw = yaml.safe_load(text)
        known = {"id", "version", "source", "labels", "accounts", "amount", "entities", "request"}
        _only(raw, known, "the specification")
        request = tuple(raw["request"])
        if unknown := set(request) - set(REQUEST):
            raise SpecError("an unknown request feature", where=", ".join(sorted(unknown)), fix=f"one of {REQUEST}")
        entities = tuple(_entity(n, e) for n, e in raw["entities"].items())
        if "amount_to_mean" in request and not any(e.name == "customer" for e in entities):
            raise SpecError("amount_to_mean needs the entity customer", where="request")
        digest = hashlib.sha256(yaml.safe_dump(raw, sort_keys=True).encode()).hexdigest()[:8]
        named = {k: str(raw[k]) for k in ("id", "source", "labels", "accounts", "amount")}
        return FeatureSpec(version=int(raw["version"]), entities=entities, request=request, digest=digest, **named)
    except (KeyError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise SpecError("a feature specification does not fit", why=f"{type(error).__name__}: {error}") from error


def _entity(name: str, raw: Mapping[str, Any]) -> Entity:
    known = {"ref", "holds", "cap", "windows", "aggregate", "distinct", "since_last", "account_age", "risk"}
    _only(raw, known, name)
    holds = (str(raw["holds"][0]), str(raw["holds"][1]))
    if unknown := set(raw["aggregate"]) - set(AGGREGATES):
        where = f"{name}: {', '.join(sorted(unknown))}"
        raise SpecError("an unknown aggregate", where=where, fix=f"one of {AGGREGATES}")
    cap = int(raw["cap"])
    # The count in the header has 16 bits; a Function that moves more than this blocks the server for long.
    if not 1 <= cap <= 8192:
        raise SpecError("a cap lies between 1 and 8192 records", where=f"{name}.cap")
    return Entity(
        name=name,
        ref=str(raw["ref"]),
        holds=holds,
        cap=cap,
        windows=tuple(sorted((_window(str(w)) for w in raw["windows"]), key=lambda w: w.ms)),
        aggregates=tuple(raw["aggregate"]),
        distinct=tuple((str(plural), holds.index(field)) for plural, field in raw.get("distinct", {}).items()),
        since_last=bool(raw.get("since_last", False)),
        account_age=bool(raw.get("account_age", False)),
        risk_delay_ms=_ms(str(raw["risk"]["delay"])) if "risk" in raw else 0,
    )


def _window(text: str) -> Window:
    ms = _ms(text)
    return Window(LABELS.get(ms) or (f"{ms // DAY_MS}d" if ms % DAY_MS == 0 else f"{ms // 3_600_000}h"), ms)


def _ms(text: str) -> int:
    return int(duration.parse(text).total_seconds() * 1000)


def _only(raw: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := set(raw) - known:
        raise SpecError("unknown entries", where=f"{where}: {', '.join(sorted(unknown))}", fix=f"only {sorted(known)}")
