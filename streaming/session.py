"""Streaming's Spark session: what differs from the common factory, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caudal import spark
from caudal.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONF = {
    # Plans of a batch are small and known; planning them again after each stage only adds jobs.
    "spark.sql.adaptive.enabled": "false",
    # Times are exact and readable by deltalake; INT96, Spark's default, is nanoseconds in 64 bits there.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Progress of the last batches is enough; each entry holds offsets of all partitions.
    "spark.sql.streaming.numRecentProgressUpdates": "5",
    # The checkpoint is scratch and made anew at each start.
    "spark.sql.streaming.minBatchesToRetain": "2",
    # Empty batches between polls would only be noise.
    "spark.sql.streaming.noDataMicroBatches.enabled": "false",
    "spark.sql.streaming.metricsEnabled": "false",
}


def start(settings: Settings) -> SparkSession:
    """The session of the streaming process."""
    return spark.session(settings, "streaming", settings.spark.streaming_heap, CONF)
