"""Spark's classes as an archive that the JVM maps at its start, instead of reading and checking each of them again.

Class data sharing, as the JDK describes it for applications (JEP 350): a short run that touches what streaming and
batch use leaves the archive at its end. A JVM on another class path, or of another version, does without.
"""

from __future__ import annotations

import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from caudal import spark
from caudal.local.java import find
from caudal.settings import LakeSettings, Settings, SparkSettings, load

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def main() -> int:
    """`python -m caudal.local.classes`: make the archive if there is none of these versions."""
    archive, settings = spark.class_archive(), load()
    made_of = archive.with_suffix(".txt")
    wanted = _parts(settings)
    if archive.is_file() and made_of.is_file() and made_of.read_text(encoding="utf-8") == wanted:
        return 0
    print("classes: archiving Spark's, once (40 s; every later start is quicker)", flush=True)
    archive.parent.mkdir(parents=True, exist_ok=True)
    part = archive.with_suffix(".part")
    for stale in (part, archive):
        stale.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="caudal-classes-") as scratch:
        _train(_alone(settings, Path(scratch)), Path(scratch), part)
    if not part.is_file():
        print("classes: no archive came of it; everything works without", flush=True)
        return 0
    part.rename(archive)
    made_of.write_text(wanted, encoding="utf-8")
    print(f"classes: archived, {archive.stat().st_size / 1e6:.0f} MB", flush=True)
    return 0


def _parts(settings: Settings) -> str:
    """What an archive is good for: this Java, this Spark and these jars."""
    jars = sorted(str(jar) for jar in (settings.spark.jars_dir / "spark").glob("*.jar"))
    return "\n".join([str(find()), version("pyspark"), *jars])


def _alone(settings: Settings, scratch: Path) -> Settings:
    """A local session of its own, whatever lake and cluster the settings name."""
    own = SparkSettings(jars_dir=settings.spark.jars_dir)
    return settings.with_(data_dir=scratch, lake=LakeSettings(), spark=own)


def _train(settings: Settings, scratch: Path, archive: Path) -> None:
    """Run a session through what the stages do; its JVM writes the archive when it ends."""
    os.environ.update({"JAVA_HOME": str(find().home), "SPARK_LOCAL_IP": "127.0.0.1"})
    options = f"{spark.JAVA_OPTIONS} {spark.LOCAL_JAVA_OPTIONS} -XX:ArchiveClassesAtExit={archive} -Xlog:cds=off"
    conf = {"spark.driver.extraJavaOptions": f"{options} -Xlog:cds+dynamic=off"}
    session = spark.session(settings, "classes", "1g", conf)
    gateway = session.sparkContext._gateway
    _tables(session, f"delta.`{scratch / 'table'}`")
    _records(session, scratch / "table")
    session.stop()
    # The JVM ends when its standard input does, and writes the archive before it is gone.
    gateway.proc.stdin.close()
    gateway.proc.wait(120)


def _tables(session: SparkSession, table: str) -> None:
    """A Delta table made, changed in all the ways that the stages change theirs, and asked."""
    columns = "id AS k, id % 7 AS g, CAST(id AS STRING) AS s, CAST(id AS DECIMAL(18, 2)) AS d, current_timestamp() AS t"
    session.sql(f"CREATE TABLE {table} (k BIGINT, g BIGINT, s STRING, d DECIMAL(18, 2), t TIMESTAMP) USING delta")
    session.sql(f"INSERT INTO {table} SELECT {columns} FROM range(1000)")
    session.sql(f"ALTER TABLE {table} ADD COLUMN more STRUCT<a: STRING, b: ARRAY<BIGINT>>")
    session.sql(
        f"MERGE INTO {table} AS t USING (SELECT {columns} FROM range(500, 1500)) AS s ON t.k = s.k "
        "WHEN MATCHED AND s.g = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET s = s.s "
        "WHEN NOT MATCHED THEN INSERT (k, g, s, d, t) VALUES (s.k, s.g, s.s, s.d, s.t)"
    )
    session.sql(f"DELETE FROM {table} WHERE g = 3")
    session.sql(f"OPTIMIZE {table}")
    session.sql(
        "WITH ranked AS (SELECT *, row_number() OVER (PARTITION BY g ORDER BY t DESC) AS place "
        f"FROM {table}) SELECT g, count(DISTINCT s) AS n, sum(d) AS total, min(date_trunc('DAY', t)) AS day "
        f"FROM ranked JOIN (SELECT k AS other FROM {table}) ON k = other WHERE place < 9 GROUP BY g ORDER BY g"
    ).toPandas()


def _records(session: SparkSession, table: Path) -> None:
    """Avro to and from bytes, a streaming query, and a Kafka consumer that connects to nobody."""
    from pyspark.sql.avro.functions import from_avro, to_avro

    source = session.read.format("delta").load(str(table))
    wire = '{"type": "record", "name": "r", "fields": [{"name": "s", "type": ["null", "string"]}]}'
    source.selectExpr("struct(s) AS r").select(from_avro(to_avro("r", wire), wire)).toArrow()
    stream = session.readStream.format("delta").load(str(table))
    stream.writeStream.format("noop").trigger(availableNow=True).start().awaitTermination()
    jvm = session.sparkContext._jvm
    assert jvm is not None
    told = jvm.java.util.Properties()
    told.setProperty("bootstrap.servers", "127.0.0.1:9")
    for side in ("key", "value"):
        told.setProperty(f"{side}.deserializer", "org.apache.kafka.common.serialization.ByteArrayDeserializer")
    jvm.org.apache.kafka.clients.consumer.KafkaConsumer(told).close()


if __name__ == "__main__":
    sys.exit(main())
