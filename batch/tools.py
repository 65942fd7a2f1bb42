"""What the steps of a cycle work with, wired once by `app`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.catalogue import Catalogue
from batch.pins import Heads
from batch.transform import Transform
from caudal.alerts import Alerts
from caudal.clock import Clock
from caudal.lake import Lake
from caudal.metrics import Metrics
from quality.gate import Gate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Tools:
    """One warm session and everything around it."""

    spark: SparkSession
    lake: Lake
    heads: Heads
    catalogue: Catalogue
    transform: Transform
    gate: Gate
    metrics: Metrics
    alerts: Alerts
    clock: Clock
    stopping: Callable[[], bool] = lambda: False
    """Whether the process was told to end; asked between the steps of a cycle."""
