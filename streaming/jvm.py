"""What only the JVM knows: Avro's own verdict on two schemas, sessions of plans, the limit of a running query, folders
of any file system."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery


def settled() -> None:
    """What Python has now stays: `let_go` does not look at it any more."""
    gc.collect()
    gc.freeze()


def let_go() -> None:
    """Let the JVM have its memory back. py4j ties each of its objects to its methods in a cycle, so all that a batch
    made there (plans, what was broadcast) is kept until Python looks for cycles, which it does after many batches."""
    gc.collect()


def compatible(spark: SparkSession) -> Callable[[str, str], bool]:
    """A function that asks Avro (the very library that decodes) whether `reader` can read what `writer` wrote."""
    from py4j.protocol import Py4JJavaError

    avro = spark.sparkContext._jvm.org.apache.avro

    def check(reader: str, writer: str) -> bool:
        try:
            parsed = [avro.Schema.Parser().parse(text) for text in (reader, writer)]
        except Py4JJavaError:
            # A text that Avro does not take for a schema: nothing can be read by it.
            return False
        verdict = avro.SchemaCompatibility.checkReaderWriterCompatibility(*parsed)
        return str(verdict.getType()) == "COMPATIBLE"

    return check


def within(session: SparkSession, frame: DataFrame) -> DataFrame:
    """The same frame, planned and run with the settings of `session`; otherwise those of its origin would hold."""
    from pyspark.sql import DataFrame

    plan = frame._jdf.queryExecution().logical()
    dataset = session.sparkContext._jvm.org.apache.spark.sql.classic.Dataset
    return DataFrame(dataset.ofRows(session._jsparkSession, plan), session)


def limit(spark: SparkSession, query: StreamingQuery, records: int) -> None:
    """Let the next batch of a running query with one source have at most so many records.

    The option that says so is fixed when a query starts. Spark's own loop asks for the limit before each batch, in the
    place that is changed here; only the query's own thread may do that, between two batches.
    """
    loop = query._jsq.streamingQuery()
    limits = loop.uniqueSources()
    most = spark.sparkContext._jvm.org.apache.spark.sql.connector.read.streaming.ReadLimit.maxRows(records)
    getattr(loop, "uniqueSources_$eq")(limits.updated(limits.head()._1(), most))


def remove(session: SparkSession, folder: str) -> None:
    """Delete a folder of the lake with all that is in it; nothing when it is not there."""
    jvm = session.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    path.getFileSystem(session._jsparkSession.sessionState().newHadoopConf()).delete(path, True)
