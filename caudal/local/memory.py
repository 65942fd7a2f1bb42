"""What our processes use, as PSS on Linux (shared pages counted once over all), as RSS elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from caudal.local import record

MIB = 2**20


class Memory:
    """Samples trees of processes and keeps peaks. All figures are MiB."""

    def __init__(self) -> None:
        self.now: dict[str, float] = {}
        self.peak: dict[str, float] = {}
        self.peak_total = 0.0

    def sample(self, roots: Mapping[str, int]) -> None:
        """Measure each named process with all that it started, and this process itself as `supervisor`."""
        below = _children()
        self.now = {name: sum(_used(pid) for pid in _tree(root, below)) / MIB for name, root in roots.items()}
        self.now["supervisor"] = _used(os.getpid()) / MIB
        for name, used in self.now.items():
            self.peak[name] = max(used, self.peak.get(name, 0.0))
        # The peak of the sum, not the sum of peaks: processes do not peak together.
        self.peak_total = max(self.peak_total, sum(self.now.values()))

    def write(self, run_dir: Path) -> None:
        """Leave the figures where `caudal status` and the demo's report find them."""
        figures = {
            "at": time.time(),
            "unit": "MiB",
            "measure": "pss" if _has_pss() else "rss",
            "now": _rounded(self.now),
            "now_total": round(sum(self.now.values()), 1),
            "peak": _rounded(self.peak),
            "peak_total": round(self.peak_total, 1),
        }
        record.write(run_dir / "memory.json", json.dumps(figures, indent=1))


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in sorted(figures.items())}


def _children() -> dict[int, list[int]]:
    """Process ids by their parent's, read once for all trees."""
    import psutil

    below: dict[int, list[int]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        below[process.info["ppid"] or 0].append(process.pid)
    return below


def _tree(root: int, below: Mapping[int, list[int]]) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += below.get(pid, [])
    return found


def _used(pid: int) -> float:
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        return float(process.memory_full_info().pss if _has_pss() else process.memory_info().rss)
    return 0.0


def _has_pss() -> bool:
    return Path("/proc/self/smaps_rollup").exists()
