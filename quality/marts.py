"""The marts as their YAML describes them: group, columns, and the checks that dbt's `data_tests` declare.

The YAML beside each model is the only place where a mart's columns and checks are written. dbt reads it, and so does
the gate, which runs the same checks on the very versions that are to be published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any, Literal

import yaml

from quality.errors import SuiteError

Severity = Literal["critical", "warning"]
GROUPS = ("live", "full")


@dataclass(frozen=True)
class Test:
    """One declared check: dbt's name of it, its column (empty for the whole table) and its arguments."""

    kind: str
    column: str
    arguments: Mapping[str, Any]
    severity: Severity = "critical"


@dataclass(frozen=True)
class Mart:
    """One mart. `columns` maps names to Spark types in the mart's order; `deadline_s` is the promise, if it has one."""

    name: str
    group: str
    description: str
    columns: Mapping[str, str]
    tests: tuple[Test, ...]
    deadline_s: float | None = None
    masks: frozenset[str] = frozenset()
    """Columns that hold masks of personal fields: `config: {meta: {mask: true}}`."""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell its rows apart, as its test `unique_together` says; empty when it has none."""
        found = [test.arguments["columns"] for test in self.tests if test.kind == "unique_together"]
        return tuple(found[0]) if found else ()

    def nulls(self) -> str:
        """A select list of typed nulls: the mart's shape without a row."""
        return ", ".join(f"cast(null as {kind}) as {name}" for name, kind in self.columns.items())


def read(project: Path) -> tuple[Mart, ...]:
    """All marts of a dbt project, by name. Raises SuiteError when a YAML file does not say what is needed."""
    found: list[Mart] = []
    for path in sorted((project / "models" / "marts").glob("*.yml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        found += [_mart(path, model) for model in document.get("models", [])]
    return tuple(sorted(found, key=lambda mart: mart.name))


def _mart(path: Path, model: Mapping[str, Any]) -> Mart:
    name = str(model.get("name", ""))
    groups = [tag for tag in model.get("config", {}).get("tags", []) if tag in GROUPS]
    if len(groups) != 1:
        raise SuiteError(
            f"mart {name} belongs to {len(groups)} publish groups",
            where=path.name,
            fix=f"give it exactly one of the tags {', '.join(GROUPS)}",
        )
    columns: dict[str, str] = {}
    tests = [_test(path, test, "") for test in model.get("data_tests", [])]
    for column in model.get("columns", []):
        if "data_type" not in column:
            raise SuiteError(f"column {column.get('name')} of mart {name} has no data_type", where=path.name)
        columns[column["name"]] = str(column["data_type"])
        tests += [_test(path, test, column["name"]) for test in column.get("data_tests", [])]
    masks = frozenset(c["name"] for c in model.get("columns", []) if c.get("config", {}).get("meta", {}).get("mask"))
    return Mart(
        name, groups[0], str(model.get("description", "")), columns, tuple(tests), _deadline(path, model), masks
    )


def _deadline(path: Path, model: Mapping[str, Any]) -> float | None:
    """`config: {meta: {available_by: "06:00"}}` as seconds after midnight."""
    given = model.get("config", {}).get("meta", {}).get("available_by")
    if given is None:
        return None
    try:
        at = time.fromisoformat(str(given))
    except ValueError:
        raise SuiteError(
            f"mart {model.get('name')} is promised by a time that is none", where=path.name, fix='available_by: "06:00"'
        ) from None
    return at.hour * 3600.0 + at.minute * 60 + at.second


def _test(path: Path, test: str | Mapping[str, Any], column: str) -> Test:
    """A test is a bare name, or a name with `arguments` and `config`."""
    if isinstance(test, str):
        return Test(test, column, {})
    if len(test) != 1:
        raise SuiteError("a data test is one name with arguments", where=path.name)
    [(kind, body)] = test.items()
    warns = str(body.get("config", {}).get("severity", "error")).lower() == "warn"
    return Test(kind, column, dict(body.get("arguments", {})), "warning" if warns else "critical")
