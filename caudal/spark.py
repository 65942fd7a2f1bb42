"""The one Spark session factory: every setting has its reason.

pyspark is imported when a session is asked for, so that commands that need no JVM stay fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from caudal.errors import SettingsError
from caudal.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A length in a broken or hostile record is allocated before the bytes behind it are looked for: without a bound, a
# dozen bytes end the driver. A message has some megabytes at most, and an item takes at least one byte.
AVRO_LIMITS = " ".join(
    f"-Dorg.apache.avro.limits.{what}.maxLength={most}"
    for what, most in (("bytes", 32 << 20), ("string", 32 << 20), ("collectionItems", 4 << 20))
)
# Serial collection has the smallest footprint on small heaps of one or two cores; the stack cache otherwise grows with
# each generated class, so code space is bounded as well.
JAVA_OPTIONS = (
    "-XX:+UseSerialGC -XX:MaxMetaspaceSize=512m -XX:ReservedCodeCacheSize=192m -Xss4m"
    f" -Djava.net.preferIPv4Stack=true -Duser.timezone=UTC {AVRO_LIMITS}"
    # Spark writes one method for all the columns of a row, and the JVM would leave such a long one to its interpreter.
    " -XX:-DontCompileHugeMethods"
)
# For a driver that shares two cores with the whole stack. There, the second compiler took a third of the CPU of the
# first minutes, and collections whose only reason was a small class space a fifth; a cluster's long-lived driver keeps
# the JVM's own choices.
LOCAL_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:MetaspaceSize=256m"


def session(settings: Settings, app: str, heap: str, conf: Mapping[str, str] | None = None) -> SparkSession:
    """Start (or return) this process's session, with Delta, Kafka, Avro and, for an S3 lake, s3a.

    `heap` is the driver's, in JVM notation (`1g`). `conf` adds or overrides settings.
    Raises SettingsError when the jars are not there.
    """
    from pyspark.sql import SparkSession

    # Python workers must be this interpreter, or they fail on imports.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    scratch = settings.data_dir.resolve() / "scratch" / app
    scratch.mkdir(parents=True, exist_ok=True)
    merged = {
        **_base(settings, scratch),
        "spark.driver.memory": heap,
        **class_path(settings),
        **_s3(settings),
        **settings.spark.conf,
        **(conf or {}),
    }
    builder = SparkSession.builder.master(settings.spark.master).appName(f"caudal-{app}")
    for key, value in merged.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _base(settings: Settings, scratch: Path) -> dict[str, str]:
    slots, local = str(_cores(settings.spark.master)), settings.spark.master.startswith("local")
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # No Derby: tables are addressed by path and registered again at each start.
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.local.dir": str(scratch),
        # The defaults (200, 50) would run that many tasks for a batch of a few rows.
        "spark.sql.shuffle.partitions": slots,
        "spark.default.parallelism": slots,
        "spark.databricks.delta.snapshotPartitions": "1",
        # Every time in the lake is UTC.
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.parquet.compression.codec": "zstd",
        # A type that does not fit is an error, not a null.
        "spark.sql.ansi.enabled": "true",
        "spark.sql.sources.partitionOverwriteMode": "static",
        # What Spark infers about aliased columns grows beyond all bounds with a table's width: a MERGE of fifty columns
        # spent minutes of planning, and of collecting garbage, on it. Filters that matter are written out.
        "spark.sql.constraintPropagation.enabled": "false",
        # Schemas change only by planned ALTERs.
        "spark.databricks.delta.schema.autoMerge.enabled": "false",
        # Evolution happens in one place, and small rewrites are ours to plan.
        "spark.databricks.delta.autoCompact.enabled": "false",
        # Compiled plans of all contracts and marts are kept; Spark's own 100 would compile them at each batch.
        "spark.sql.codegen.cache.maxEntries": "3000",
        # A description of each plan is made for listeners, whether one reads it or not.
        "spark.sql.ui.explainMode": "simple",
        "spark.sql.maxPlanStringLength": "1000",
        # Nobody reads the web page of a local driver, and it holds memory for each job.
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.ui.retainedExecutions": "1",
        "spark.ui.retainedJobs": "1",
        "spark.ui.retainedStages": "1",
        # Side-by-side contracts share the cores fairly.
        "spark.scheduler.mode": "FAIR",
        # Loopback only, and no look-up of the machine's name.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        # Arrow is how data crosses into Python, when it must.
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.driver.extraJavaOptions": f"{JAVA_OPTIONS} {_local_java_options()}" if local else JAVA_OPTIONS,
        "spark.executor.extraJavaOptions": AVRO_LIMITS,
    }


def _s3(settings: Settings) -> dict[str, str]:
    if not settings.lake_uri.startswith(("s3://", "s3a://")):
        return {}
    s3 = settings.lake
    found = {
        "spark.hadoop.fs.s3a.endpoint": s3.s3_endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": s3.s3_region,
        "spark.hadoop.fs.s3a.access.key": s3.s3_access_key.get_secret_value(),
        "spark.hadoop.fs.s3a.secret.key": s3.s3_secret_key.get_secret_value(),
    }
    return {
        **{key: value for key, value in found.items() if value},
        # Buckets of small S3 servers are not host names.
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.connection.ssl.enabled": str(not s3.s3_endpoint.startswith("http://")).lower(),
        # Streaming writes many small files: keep the buffers on the heap's outside, bounded.
        "spark.hadoop.fs.s3a.fast.upload.buffer": "bytebuffer",
        # One driver owns the lake, so its own log store may do put-if-absent.
        "spark.delta.logStore.s3a.impl": "io.delta.storage.S3SingleDriverLogStore",
    }


def class_archive() -> Path:
    """Where the set-up leaves the archive of Spark's classes: beside the Spark whose class path it knows."""
    return Path(sys.prefix) / "share" / "caudal" / "spark-classes.jsa"


def _local_java_options() -> str:
    archive = class_archive()
    return f"{LOCAL_JAVA_OPTIONS} -XX:SharedArchiveFile={archive}" if archive.is_file() else LOCAL_JAVA_OPTIONS


def class_path(settings: Settings) -> dict[str, str]:
    """A local driver has the jars on the class path of its start, as the archive needs it; executors are sent them."""
    jars, s3 = _jars(settings, "spark"), []
    if settings.lake_uri.startswith(("s3://", "s3a://")):
        s3 = _jars(settings, "s3")
    if settings.spark.master.startswith("local"):
        return {"spark.driver.extraClassPath": os.pathsep.join(jars), "spark.jars": ",".join(s3)}
    return {"spark.jars": ",".join([*jars, *s3])}


def _jars(settings: Settings, folder: str) -> list[str]:
    jars = [str(jar) for jar in sorted((settings.spark.jars_dir / folder).glob("*.jar"))]
    if not jars:
        raise SettingsError(
            "Spark's jars are missing",
            where=str(settings.spark.jars_dir / folder),
            why="the set-up has not finished",
            fix="run `make setup`",
        )
    return jars


def _cores(master: str) -> int:
    inside = master.partition("[")[2].rstrip("]")
    return int(inside) if inside.isdigit() else max(2, os.cpu_count() or 2)
