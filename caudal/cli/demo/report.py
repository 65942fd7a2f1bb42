"""The closing report of a demo: one JSON object, or a page for people; and the benchmark file."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from caudal.cli.demo import facts
from caudal.cli.demo.progress import Progress
from caudal.cli.output import SCHEMA_VERSION, Output, next_step, say, table
from caudal.lake import Lake

MARKS = ("first_raw", "first_silver", "first_gold", "first_decision")
# Goals on two cores, printed and kept, never asserted: seconds to the first published gold row, and MiB in all.
GOALS = {"cold_first_gold_s": 360, "warm_first_gold_s": 60, "memory_mib": 6144}


def summary(
    lake: Lake, progress: Progress, verify: dict[str, Any], began: float, set_up_s: float, run_dir: Path
) -> dict[str, Any]:
    """Everything the run can say about itself, asked of the tables, the metrics and the supervisor."""
    progress.read()
    marks = {name: progress.mark(name) for name in MARKS}
    gold = facts.gold(lake)
    rows = {entry["table"]: entry["rows"] for entry in gold}
    decided = facts.decisions(lake)
    delivered = all(rows.get(mart) for mart in facts.CASES.values()) and bool(decided)
    return {
        "ok": bool(verify["ok"] and delivered),
        "seconds": {
            "set_up": round(set_up_s, 1),
            **{name: round(at - began, 1) if at else None for name, at in marks.items()},
            "total": round(time.time() - began, 1),
        },
        "events": facts.events(lake),
        "duplicates": facts.duplicates(lake),
        "dead_letters": facts.dead_letters(lake),
        "schema_versions": facts.schema_versions(lake),
        "gold": gold,
        "decisions": decided,
        "memory_mib": _memory(run_dir),
        "verify": {
            "ok": verify["ok"],
            "checks": [{k: check[k] for k in ("invariant", "name", "ok", "examined")} for check in verify["checks"]],
            "broken": [part for check in verify["checks"] for part in check["parts"] if not part["ok"]],
        },
    }


def keep(found: dict[str, Any], data_dir: Path) -> None:
    """Add the run to `<data>/benchmarks/demo.jsonl`."""
    file = data_dir / "benchmarks" / "demo.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "at": time.time(),
        "machine": {"system": platform.system(), "arch": platform.machine(), "cores": os.cpu_count()},
        "goals": GOALS,
        "seconds": found["seconds"],
        "memory_mib": found["memory_mib"],
        "events": sum(found["events"].values()),
    }
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(record) + "\n")


def show(found: dict[str, Any], output: Output) -> None:
    """The last line of standard output is the JSON object; people get tables and goals."""
    if output is Output.json:
        print(json.dumps({"schema_version": SCHEMA_VERSION, **found}, default=str), flush=True)
        return
    say("")
    print(table(("contract", "events"), found["events"].items()))
    print()
    print(table(("gold", "rows", "version"), [(g["table"], g["rows"], g["version"]) for g in found["gold"]]))
    print()
    print(table(("decision", "count"), found["decisions"].items()))
    print()
    print(table(("dead letter", "count"), found["dead_letters"].items()))
    print()
    checks = found["verify"]["checks"]
    verdicts = [(c["invariant"], c["name"], "holds" if c["ok"] else "BROKEN", c["examined"]) for c in checks]
    print(table(("invariant", "name", "verdict", "examined"), verdicts))
    print()
    seconds, memory = found["seconds"], found["memory_mib"]
    cold = seconds["set_up"] > 0
    goal = GOALS["cold_first_gold_s" if cold else "warm_first_gold_s"]
    print(f"first gold after {seconds['first_gold']} s (goal {goal} s, {'cold' if cold else 'warm'} start)")
    print(f"memory at most {memory['peak_total']} MiB (goal {GOALS['memory_mib']} MiB)")
    next_step("caudal up, or make demo to watch it live")


def _memory(run_dir: Path) -> dict[str, Any]:
    try:
        found = json.loads((run_dir / "memory.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"peak_total": 0.0, "by_process": {}}
    return {"peak_total": found["peak_total"], "by_process": found["peak"]}
