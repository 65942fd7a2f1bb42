"""Contracts of mode cdc for tests: one whose changes are whole rows, one whose changes may leave fields out."""

from __future__ import annotations

from pathlib import Path

from schemas.distribution import Released
from tests.support import contracts

WHOLE, PARTIAL = "tests.whole", "tests.partial"
YAML = contracts.YAML.replace("mode: append", "mode: cdc") + (
    "key: [tenant_id, thing_id]\nsequence: [_sequence]\nhistory: true\n"
    "quality: [{code: NOT_BAD, rule: \"a <> 'bad'\", on_fail: reject}]\n"
)
FIELDS = (
    contracts.field("a", "string"),
    contracts.pii("b", "email"),
    {"name": "_op", "type": "string"},
    {"name": "_sequence", "type": "long"},
    contracts.field("_source", "string"),
)


def change_contracts(root: Path) -> list[Released]:
    """Both, as if they had been applied."""
    whole = contracts.make(root, FIELDS, id=WHOLE, yaml=YAML, name="Whole")
    yaml = YAML + "ignore_null_updates: true\n"
    partial = contracts.make(root, FIELDS, id=PARTIAL, yaml=yaml, name="Partial")
    return [Released(whole, {1: 9001}), Released(partial, {1: 9002})]
