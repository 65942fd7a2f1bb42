"""What a session is told about its jars: a local driver and one on a cluster differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from caudal import spark
from caudal.errors import SettingsError
from caudal.settings import LakeSettings, Settings, SparkSettings


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    """A folder with an archive in each set."""
    for folder, name in (("spark", "delta.jar"), ("s3", "s3a.jar")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    return tmp_path


def settings(jars: Path, master: str, lake: str = "") -> Settings:
    """Settings of an install with this master and lake."""
    return Settings(
        data_dir=jars,
        contracts_dir=jars,
        spark=SparkSettings(master=master, jars_dir=jars),
        lake=LakeSettings(uri=lake),
    )


def test_a_local_driver_starts_with_the_jars_on_its_class_path(jars: Path) -> None:
    """The archive of classes knows that path; what S3 needs comes after it."""
    assert spark.class_path(settings(jars, "local[2]", "s3://bucket/lake")) == {
        "spark.driver.extraClassPath": f"{jars}/spark/delta.jar",
        "spark.jars": f"{jars}/s3/s3a.jar",
    }


def test_executors_of_a_cluster_are_sent_the_jars(jars: Path) -> None:
    """There, the driver's class path would not reach them."""
    assert spark.class_path(settings(jars, "spark://host:7077", "s3://bucket/lake")) == {
        "spark.jars": f"{jars}/spark/delta.jar,{jars}/s3/s3a.jar"
    }


def test_missing_jars_are_named_with_the_way_out(jars: Path) -> None:
    """Instead of a class that Spark does not find."""
    (jars / "spark" / "delta.jar").unlink()
    with pytest.raises(SettingsError, match="make setup"):
        spark.class_path(settings(jars, "local[2]"))
