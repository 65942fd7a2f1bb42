"""What only the JVM knows: Avro's own verdict on two schemas, sessions of plans, folders of any file system."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def compatible(spark: SparkSession) -> Callable[[str, str], bool]:
    """A function that asks Avro (the very library that decodes) whether `reader` can read what `writer` wrote."""
    avro = spark.sparkContext._jvm.org.apache.avro

    def check(reader: str, writer: str) -> bool:
        parsed = [avro.Schema.Parser().parse(text) for text in (reader, writer)]
        verdict = avro.SchemaCompatibility.checkReaderWriterCompatibility(*parsed)
        return str(verdict.getType()) == "COMPATIBLE"

    return check


def within(session: SparkSession, frame: DataFrame) -> DataFrame:
    """The same frame, planned and run with the settings of `session`; otherwise those of its origin would hold."""
    from pyspark.sql import DataFrame

    plan = frame._jdf.queryExecution().logical()
    dataset = session.sparkContext._jvm.org.apache.spark.sql.classic.Dataset
    return DataFrame(dataset.ofRows(session._jsparkSession, plan), session)


def remove(session: SparkSession, folder: str) -> None:
    """Delete a folder of the lake with all that is in it; nothing when it is not there."""
    jvm = session.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    path.getFileSystem(session._jsparkSession.sessionState().newHadoopConf()).delete(path, True)
