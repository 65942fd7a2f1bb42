"""What has arrived so far: the live table and the marks, from the metrics that every process writes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caudal.metrics import Snapshot, read_all

STAGES = ("source", "kafka", "raw", "silver", "gold", "decision")


@dataclass(frozen=True)
class StageView:
    """One line of the live table. Rates are per second, ages in seconds since `published_at`."""

    stage: str
    rows: int
    rate: float
    lag: int
    p95: float | None
    rejects: int


class Progress:
    """Reads the snapshots of one run; rates come from the difference to the reading before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[str, tuple[float, int]] = {}
        self.snapshots: list[Snapshot] = []

    def read(self) -> list[StageView]:
        """Read all snapshots again and return one line per stage."""
        self.snapshots = read_all(self._folder)
        rows, rejects, lag = (
            self.by_stage(name) for name in ("caudal_rows_total", "caudal_rejects_total", "caudal_lag")
        )
        return [self._view(stage, rows[stage], rejects[stage], lag[stage]) for stage in STAGES]

    def by_stage(self, name: str) -> dict[str, int]:
        """Sum of a counter or gauge over contracts and processes, by stage."""
        sums: dict[str, int] = defaultdict(int)
        for snapshot in self.snapshots:
            for sample in [*snapshot.counters, *snapshot.gauges]:
                if sample.name == name:
                    sums[sample.labels.get("stage", "")] += int(sample.value)
        return sums

    def total(self, name: str, **labels: str) -> int:
        """Sum of a counter over everything that carries these labels."""
        return sum(
            int(sample.value)
            for snapshot in self.snapshots
            for sample in snapshot.counters
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def mark(self, name: str) -> float | None:
        """Epoch seconds of the first time any process reached this mark."""
        found = [snapshot.marks[name] for snapshot in self.snapshots if name in snapshot.marks]
        return min(found) if found else None

    def ready(self, process: str) -> bool:
        """Whether a process says that it does its work."""
        return any(snapshot.ready for snapshot in self.snapshots if snapshot.process == process)

    def _view(self, stage: str, rows: int, rejects: int, lag: int) -> StageView:
        at = max((snapshot.at for snapshot in self.snapshots), default=0.0)
        then, had = self._before.get(stage, (at, rows))
        rate = max(0.0, (rows - had) / (at - then)) if at > then else 0.0
        if at > then or stage not in self._before:
            self._before[stage] = (at, rows)
        return StageView(stage, rows, rate, lag, self._p95(stage), rejects)

    def _p95(self, stage: str) -> float | None:
        found = [age for s in self.snapshots for age in s.ages if age["stage"] == stage and age["n"]]
        return max((float(age["p95"]) for age in found), default=None)


def as_rows(views: list[StageView]) -> list[tuple[str, ...]]:
    """The live table's cells."""
    return [
        (
            v.stage,
            f"{v.rows:,}",
            f"{v.rate:,.0f}",
            f"{v.lag:,}",
            "-" if v.p95 is None else f"{v.p95:.1f} s",
            f"{v.rejects:,}",
        )
        for v in views
    ]


HEADERS = ("stage", "rows", "rows/s", "lag", "P95 age", "rejects")


def as_line(views: list[StageView]) -> str:
    """The same on one line, for logs and pipes."""
    return " | ".join(
        f"{v.stage} {v.rows:,} ({v.rate:,.0f}/s{'' if v.p95 is None else f', p95 {v.p95:.1f}s'})" for v in views
    )


def record(views: list[StageView]) -> list[dict[str, Any]]:
    """The lines as JSON-ready records."""
    return [v.__dict__ for v in views]
