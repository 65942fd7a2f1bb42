"""Contracts of mode cdc for tests: whole rows, changes that leave fields out, changes of which few columns count."""

from __future__ import annotations

from pathlib import Path

from schemas.distribution import Released
from tests.support import contracts

WHOLE, PARTIAL, TRACKED = "tests.whole", "tests.partial", "tests.tracked"
YAML = contracts.YAML.replace("mode: append", "mode: cdc") + (
    "key: [tenant_id, thing_id]\nsequence: [_sequence]\nhistory: true\n"
    "quality: [{code: NOT_BAD, rule: \"a <> 'bad'\", on_fail: reject}]\n"
)
# Only `a` starts a version, `c` is not stored.
TRACKED_YAML = YAML + "track_history_column_list: [a]\nexcept_column_list: [c]\n"
FIELDS = (
    contracts.field("a", "string"),
    contracts.pii("b", "email"),
    {"name": "_op", "type": "string"},
    {"name": "_sequence", "type": "long"},
    contracts.field("_source", "string"),
)


def change_contracts(root: Path) -> list[Released]:
    """All three, as if they had been applied."""
    whole = contracts.make(root, FIELDS, id=WHOLE, yaml=YAML, name="Whole")
    yaml = YAML + "ignore_null_updates: true\n"
    partial = contracts.make(root, FIELDS, id=PARTIAL, yaml=yaml, name="Partial")
    tracked = contracts.make(
        root, (*FIELDS, contracts.pii("c", "phone")), id=TRACKED, yaml=TRACKED_YAML, name="Tracked"
    )
    return [Released(whole, {1: 9001}), Released(partial, {1: 9002}), Released(tracked, {1: 9003})]
