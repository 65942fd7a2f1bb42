"""What a run costs and gives, from outside: the driver's CPU and memory, its tables' files and bytes, ages of rows."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from caudal.commits import history
from caudal.lake import Lake
from caudal.query import Query

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


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


def machine() -> dict[str, object]:
    """What the measurement ran on, and how busy that was."""
    load = [round(one, 2) for one in os.getloadavg()]
    return {"system": platform.system(), "arch": platform.machine(), "cores": os.cpu_count(), "load": load}


def quantiles(ages: pa.Array | pa.ChunkedArray) -> dict[str, float]:
    """P50, P95 and P99 of ages in seconds."""
    found = pc.quantile(ages, q=list(QUANTILES.values())).to_pylist()
    return {name: round(age, 2) for name, age in zip(QUANTILES, found, strict=True)}


def written(folder: Path) -> Written:
    """What a run left in its folder."""
    data = [file for file in folder.rglob("*.parquet") if "_delta_log" not in file.parts]
    commits = sum(1 for _ in folder.rglob("_delta_log/*.json"))
    return Written(len(data), sum(file.stat().st_size for file in data) / 2**20, commits)


def ages(lake: Lake, names: Iterable[str], since_ms: int) -> pa.Table:
    """Of each row in these silver tables published since then: when (`at`, epoch ms), and after how many seconds the
    commit that holds it was made (`age`)."""
    return pa.concat_tables([_ages(lake, name, since_ms) for name in names])


def _ages(lake: Lake, name: str, since_ms: int) -> pa.Table:
    opened = DeltaTable(lake.table("silver", name), storage_options=lake.storage_options or None)
    made_at = {version: int(info["timestamp"]) for version, info in history(lake, "silver", name, opened.version())}
    query = Query(lake)
    query.table("t", "silver", name)
    since = datetime.fromtimestamp(since_ms / 1000, UTC).isoformat()
    rows = query.arrow(f"SELECT _version, _published_at FROM t WHERE _published_at >= timestamp '{since}'")
    published = rows["_published_at"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    commits = pc.index_in(rows["_version"], pa.array(list(made_at), pa.int64()))
    made = pc.take(pa.array(list(made_at.values()), pa.int64()), commits)
    return pa.table({"at": published, "age": pc.divide(pc.subtract(made, published), 1000.0)})
