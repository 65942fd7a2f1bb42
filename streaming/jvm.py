"""What only the JVM knows: Avro's own verdict on two schemas."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def compatible(spark: SparkSession) -> Callable[[str, str], bool]:
    """A function that asks Avro (the very library that decodes) whether `reader` can read what `writer` wrote."""
    avro = spark.sparkContext._jvm.org.apache.avro

    def check(reader: str, writer: str) -> bool:
        parsed = [avro.Schema.Parser().parse(text) for text in (reader, writer)]
        verdict = avro.SchemaCompatibility.checkReaderWriterCompatibility(*parsed)
        return str(verdict.getType()) == "COMPATIBLE"

    return check
