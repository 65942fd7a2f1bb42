"""What the gate found: verdicts, counts and aggregates, no row's value. One JSON file a cycle, the latest by group.

`_quality/<cycle>.json` and `_quality/latest-<group>.json` of the lake hold `{cycle, group, at_ms, ok, results: [{table,
layer, code, ok, severity, checked, failing, detail, unit, observed, low, high}]}`. `_quality/evidence/<cycle>.json`
names rows that broke a critical check: `{cycle, group, at_ms, evidence: [{table, layer, code, rows: [{column: id}]}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from caudal.lake import Lake
from quality import days, steady
from quality.marts import Mart, Severity

FOLDER = "_quality"
EVIDENCE = f"{FOLDER}/evidence"


@dataclass(frozen=True)
class Result:
    """One check's outcome. `checked` and `failing` count rows, None where nobody counted; `detail` says what broke.

    `observed` is the number of a check that does not count failing rows (`unit` share or value), with its bounds.
    `rows` are the identities of some failing rows.
    """

    table: str
    layer: str
    code: str
    ok: bool
    severity: Severity
    checked: int | None
    failing: int | None
    detail: str = ""
    unit: str = "rows"
    observed: float | None = None
    low: float | None = None
    high: float | None = None
    rows: tuple[Mapping[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.layer}.{self.table}:{self.code}"

    @property
    def blocks(self) -> bool:
        """Whether it keeps gold from being published."""
        return not self.ok and self.severity == "critical"

    def record(self) -> dict[str, Any]:
        """The outcome as JSON-ready facts, without the rows."""
        facts = asdict(self)
        del facts["rows"]
        return facts


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
    """Keep the results of a cycle, make them the group's latest, and add them to the history of the day."""
    listed = list(results)
    ok = passed(listed)
    head: dict[str, Any] = {"cycle": cycle, "group": group, "at_ms": at_ms}
    data = _json({**head, "ok": ok, "results": [result.record() for result in listed]})
    lake.write_atomic(f"{FOLDER}/{cycle}.json", data)
    lake.write_atomic(f"{FOLDER}/latest-{group}.json", data)
    found = [
        {"table": r.table, "layer": r.layer, "code": r.code, "rows": [dict(row) for row in r.rows]}
        for r in listed
        if r.rows
    ]
    if found:
        lake.write_atomic(f"{EVIDENCE}/{cycle}.json", _json({**head, "evidence": found}))
    if ok:
        steady.remember(lake, ((r.name, r.observed) for r in listed if r.observed is not None))
    days.add_results(lake, at_ms, [{**result.record(), "name": result.name} for result in listed])


def latest(lake: Lake, group: str) -> dict[str, Any] | None:
    """The latest results of a group, or None when it has none."""
    data = lake.read_bytes(f"{FOLDER}/latest-{group}.json")
    return None if data is None else json.loads(data)


def evidence(lake: Lake, cycle: str) -> list[dict[str, Any]]:
    """The failing rows that a cycle named; none when it passed, or named none."""
    found: list[dict[str, Any]] = json.loads(lake.read_bytes(f"{EVIDENCE}/{cycle}.json") or b"{}").get("evidence", [])
    return found


def prune(lake: Lake, keep: int, needed: frozenset[str]) -> int:
    """Remove the oldest result files above `keep`, never those of a needed cycle. Returns how many went."""
    cycles = [name for name in lake.list(FOLDER) if not name.rpartition("/")[2].startswith("latest-")]
    old = [name for name in cycles[: max(0, len(cycles) - keep)] if _cycle_of(name) not in needed]
    for name in old:
        lake.delete(name)
        lake.delete(f"{EVIDENCE}/{_cycle_of(name)}.json")
    return len(old)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _cycle_of(name: str) -> str:
    return name.rpartition("/")[2].removesuffix(".json")
