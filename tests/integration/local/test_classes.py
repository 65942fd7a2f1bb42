"""The archive of Spark's classes that the set-up leaves: a JVM that it does not fit goes without, and says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from caudal.spark import class_archive

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.mark.spark
@pytest.mark.skipif(not class_archive().is_file(), reason="the set-up could not make the archive here")
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what a process has mapped")
def test_a_session_has_the_archive_mapped(spark: SparkSession) -> None:
    """Its class path begins as the archived one did, S3's jars behind it."""
    assert spark.sparkContext._jvm is not None
    pid = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()
    mapped = {line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()}
    assert str(class_archive()) in mapped
