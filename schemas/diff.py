"""What changes between two forms of a contract: fields, silver columns, rules and settings, and whether it may."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from schemas import read
from schemas.contract import Contract
from schemas.lint import Finding, lint
from schemas.tables import Column, silver_columns

Verdict = Literal["none", "pending", "breaking"]
# What has a place of its own in a difference, or says nothing about an event.
_APART = frozenset({"id", "quality", "status"})


@dataclass(frozen=True)
class Change:
    """One difference. `kind`: version, field, column, rule or setting; `before` or `after` is None where nothing is."""

    kind: str
    name: str
    before: str | None
    after: str | None

    @property
    def verb(self) -> str:
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    def record(self) -> dict[str, str | None]:
        return {"kind": self.kind, "change": self.verb, "name": self.name, "before": self.before, "after": self.after}


@dataclass(frozen=True)
class Diff:
    """All differences, and what the linter says of the later form beside the earlier one."""

    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """`breaking` when an apply would refuse it, else whether there is anything to apply."""
        if any(finding.severity == "error" for finding in self.findings):
            return "breaking"
        return "pending" if self.changes else "none"


def diff(before: Contract | None, after: Contract) -> Diff:
    """From `before` (None: not released yet) to `after`. Raises ContractError for a type that no table can hold."""
    return Diff(tuple(_changes(before, after)), tuple(lint(after, before)))


def _changes(before: Contract | None, after: Contract) -> Iterator[Change]:
    yield from _differ("version", _versions(before), _versions(after))
    yield from _differ("field", _fields(before), _fields(after))
    yield from _differ("column", _columns(before), _columns(after))
    yield from _differ("rule", _rules(before), _rules(after))
    yield from _differ("setting", _settings(before), _settings(after))


def _differ(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Change]:
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            yield Change(kind, name, before.get(name), after.get(name))


def _versions(contract: Contract | None) -> dict[str, str]:
    return {str(v.number): f"{len(v.avsc['fields'])} fields" for v in contract.versions} if contract else {}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _fields(contract: Contract | None) -> dict[str, str]:
    """The newest version's fields: type, default and class as one text."""
    if contract is None:
        return {}
    return {item["name"]: _field(item) for item in contract.latest.avsc["fields"]}


def _field(item: Mapping[str, Any]) -> str:
    kind = item["type"]
    parts = [kind if isinstance(kind, str) else _json(kind)]
    if "default" in item:
        parts.append(f"default {_json(item['default'])}")
    if "pii" in item:
        parts.append(f"personal: {item['pii']}")
    return ", ".join(parts)


def _columns(contract: Contract | None) -> dict[str, str]:
    return {column.name: _column(column) for column in silver_columns(contract)} if contract else {}


def _column(column: Column) -> str:
    return column.spark_type if column.live else f"{column.spark_type}, no longer filled"


def _rules(contract: Contract | None) -> dict[str, str]:
    if contract is None:
        return {}
    return {rule.code: f"{rule.rule} (on fail: {rule.on_fail}; null: {rule.nulls})" for rule in contract.quality}


def _settings(contract: Contract | None) -> dict[str, str]:
    if contract is None:
        return {}
    found = read.record(contract)
    return {name: _json(value) for name, value in found.items() if name not in _APART}
