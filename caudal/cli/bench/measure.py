"""What a run costs, from outside: CPU and memory of the driver, files and bytes of its tables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Written:
    """Data files, their bytes, and commits, of all Delta tables of a run."""

    files: int
    mib: float
    commits: int


class Driver:
    """The driver: the JVM, and the Python process that leads it."""

    def __init__(self, spark: SparkSession) -> None:
        assert spark.sparkContext._jvm is not None
        self._jvm = psutil.Process(int(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()))
        self._python = psutil.Process(os.getpid())

    def cpu_s(self) -> float:
        """CPU seconds that both have used so far."""
        return sum(sum(process.cpu_times()[:2]) for process in (self._jvm, self._python))

    def peak_mib(self) -> float:
        """The JVM's highest resident memory so far (Linux; elsewhere what it is now)."""
        status = Path(f"/proc/{self._jvm.pid}/status")
        if status.exists():
            [line] = [line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM")]
            return int(line.split()[1]) / 1024
        return float(self._jvm.memory_info().rss) / 2**20


def written(folder: Path) -> Written:
    """What a run left in its folder."""
    data = [file for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts]
    commits = sum(1 for _ in folder.rglob("_delta_log/*.json"))
    return Written(len(data), sum(file.stat().st_size for file in data) / 2**20, commits)
