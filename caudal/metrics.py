"""What a process reports about itself: counters, gauges, ages and first-time marks.

Each process keeps its numbers in memory and writes them whole to `<run>/metrics/<process>.json` once a second; the web
process, `caudal status` and the live table read those files. Labels are names of stages, contracts and codes, all of
bounded number, never values of records.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Labels = tuple[tuple[str, str], ...]
# Ages of this many latest records decide a quantile: enough for a P95 that moves within seconds at demo rates.
WINDOW = 4096


@dataclass(frozen=True)
class Sample:
    """One number with its name and labels."""

    name: str
    value: float
    labels: dict[str, str]


@dataclass(frozen=True)
class Snapshot:
    """What one process last wrote. `at` and marks are epoch seconds; ages are seconds."""

    process: str
    pid: int
    at: float
    ready: bool
    counters: list[Sample] = field(default_factory=list)
    gauges: list[Sample] = field(default_factory=list)
    ages: list[dict[str, Any]] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)


class Metrics:
    """The numbers of one process. All methods may be called from any thread."""

    def __init__(self, process: str, folder: Path | None = None) -> None:
        self.process = process
        self._file = folder / f"{process}.json" if folder else None
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], float] = {}
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._ages: dict[tuple[str, Labels], deque[float]] = {}
        self._quantiles: dict[tuple[str, Labels], dict[str, float]] = {}
        self._marks: dict[str, float] = {}
        self._ready = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, name: str, n: float = 1, **labels: str) -> None:
        """Add to a counter (`…_total`)."""
        key = (name, _key(labels))
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + n

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._gauges[(name, _key(labels))] = value

    def ages(self, stage: str, seconds: Iterable[float], **labels: str) -> None:
        """Ages of records when they became available in a stage, in seconds since `published_at`."""
        key = (stage, _key(labels))
        with self._lock:
            self._ages.setdefault(key, deque(maxlen=WINDOW)).extend(seconds)

    def quantiles(self, stage: str, p50: float, p95: float, p99: float, n: int, **labels: str) -> None:
        """Ages of one batch that were aggregated elsewhere, for example inside Spark."""
        with self._lock:
            self._quantiles[(stage, _key(labels))] = {"p50": p50, "p95": p95, "p99": p99, "n": n}

    def mark(self, name: str) -> None:
        """Remember when something happened for the first time in this process."""
        with self._lock:
            self._marks.setdefault(name, time.time())

    def ready(self, value: bool = True) -> None:
        """Whether this process does its work."""
        with self._lock:
            self._ready = value

    def start(self) -> Metrics:
        """Write a snapshot now and then every second, until `stop`."""
        if self._file is not None and self._thread is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self.flush()
            self._thread = threading.Thread(target=self._loop, name="metrics", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Write the last snapshot and end the thread."""
        self.ready(False)
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.flush()

    def flush(self) -> None:
        """Write the snapshot; a full disk must not end the process that reports it."""
        if self._file is None:
            return
        try:
            write_whole(self._file, json.dumps(self.snapshot()).encode())
        except OSError:
            return

    def snapshot(self) -> dict[str, Any]:
        """The current numbers, JSON-ready."""
        with self._lock:
            ages = [
                {"stage": stage, "labels": dict(labels), **_quantiles(values)}
                for (stage, labels), values in self._ages.items()
            ] + [{"stage": s, "labels": dict(labels), **q} for (s, labels), q in self._quantiles.items()]
            return {
                "process": self.process,
                "pid": os.getpid(),
                "at": time.time(),
                "ready": self._ready,
                "counters": _samples(self._counters),
                "gauges": _samples(self._gauges),
                "ages": ages,
                "marks": dict(self._marks),
            }

    def _loop(self) -> None:
        while not self._stop.wait(1.0):
            self.flush()


def read_all(folder: Path) -> list[Snapshot]:
    """The latest snapshot of every process that has written one; unreadable files are passed over."""
    return list(_read(folder))


def _read(folder: Path) -> Iterator[Snapshot]:
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            for group in ("counters", "gauges"):
                raw[group] = [Sample(**sample) for sample in raw[group]]
            yield Snapshot(**raw)
        except (OSError, ValueError, TypeError, KeyError):
            continue


def _key(labels: dict[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _samples(values: dict[tuple[str, Labels], float]) -> list[dict[str, Any]]:
    return [{"name": name, "value": value, "labels": dict(labels)} for (name, labels), value in values.items()]


def _quantiles(values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values)
    if not ordered:
        return {"p50": 0.0, "p95": 0.0, "p99": 0.0, "n": 0}
    last = len(ordered) - 1
    return {
        "p50": ordered[int(last * 0.50)],
        "p95": ordered[int(last * 0.95)],
        "p99": ordered[int(last * 0.99)],
        "n": len(ordered),
    }


def write_whole(path: Path, data: bytes) -> None:
    """Put a small file in its place: whoever reads it sees the old bytes or the new ones. Raises OSError."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
