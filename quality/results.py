"""What the gate found: verdicts and counts, never a value. One JSON file a cycle, and the latest by group.

`_quality/<cycle>.json` and `_quality/latest-<group>.json` of the lake hold
`{cycle, group, at_ms, ok, results: [{table, layer, code, ok, severity, checked, failing, detail}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from caudal.lake import Lake
from quality.marts import Mart, Severity

FOLDER = "_quality"


@dataclass(frozen=True)
class Result:
    """One check's outcome. `checked` and `failing` count rows, None where nobody counted; `detail` says what broke."""

    table: str
    layer: str
    code: str
    ok: bool
    severity: Severity
    checked: int | None
    failing: int | None
    detail: str = ""

    @property
    def blocks(self) -> bool:
        """Whether it keeps gold from being published."""
        return not self.ok and self.severity == "critical"


def shape(mart: Mart, kinds: Iterable[tuple[str, str]]) -> Result:
    """Whether a mart's table (names and Spark types, in order) has exactly the columns that its YAML promises.

    dbt's own enforcement would refuse the columns by which an increment tells a MERGE what to delete.
    """
    actual, promised = tuple(kinds), tuple(mart.columns.items())
    wrong = {name for name, _ in {*actual} ^ {*promised}}
    detail = f"columns: {', '.join(sorted(wrong))}" if wrong else "" if actual == promised else "order of columns"
    return Result(mart.name, "gold", "CONTRACT", actual == promised, "critical", None, None, detail)


def passed(results: Iterable[Result]) -> bool:
    """The verdict: no critical check failed."""
    return not any(result.blocks for result in results)


def save(lake: Lake, cycle: str, group: str, at_ms: int, results: Iterable[Result]) -> None:
    """Keep the results of a cycle, and make them the group's latest."""
    listed = list(results)
    document = {
        "cycle": cycle,
        "group": group,
        "at_ms": at_ms,
        "ok": passed(listed),
        "results": [asdict(result) for result in listed],
    }
    data = json.dumps(document, separators=(",", ":")).encode()
    lake.write_atomic(f"{FOLDER}/{cycle}.json", data)
    lake.write_atomic(f"{FOLDER}/latest-{group}.json", data)


def latest(lake: Lake, group: str) -> dict[str, Any] | None:
    """The latest results of a group, or None when it has none."""
    data = lake.read_bytes(f"{FOLDER}/latest-{group}.json")
    return None if data is None else json.loads(data)


def prune(lake: Lake, keep: int, needed: frozenset[str]) -> int:
    """Remove the oldest result files above `keep`, never those of a needed cycle. Returns how many went."""
    cycles = [name for name in lake.list(FOLDER) if not name.rpartition("/")[2].startswith("latest-")]
    old = [name for name in cycles[: max(0, len(cycles) - keep)] if _cycle_of(name) not in needed]
    for name in old:
        lake.delete(name)
    return len(old)


def _cycle_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")
