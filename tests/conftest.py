"""Fixtures that more than one stage's tests need. Servers start at first use and live as long as the session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from caudal.local.errors import JavaError
from caudal.local.java import find
from caudal.settings import KafkaSettings, LakeSettings, RedisSettings, RegistrySettings, Settings
from tests.support import servers as seam

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONTRACTS = Path(__file__).resolve().parent.parent / "schemas" / "contracts"


def pytest_configure(config: pytest.Config) -> None:
    """Decide once where servers come from; tests of a running install must not see a developer's settings."""
    config.stash[KIND] = seam.choose()
    for name in [n for n in os.environ if n.startswith("CAUDAL_") and not n.startswith("CAUDAL_TEST_")]:
        del os.environ[name]
    for name in ("DBT_SEND_ANONYMOUS_USAGE_STATS", "GX_ANALYTICS_ENABLED"):
        os.environ[name] = "false"
    os.environ["DO_NOT_TRACK"] = "1"


KIND = pytest.StashKey[tuple[str, str]]()


def pytest_report_header(config: pytest.Config) -> str:
    """Which servers the integration tests run on."""
    kind, why = config.stash[KIND]
    return f"servers: {kind} ({why})"


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[seam.Servers]:
    """All servers of the session, not yet started."""
    opened = seam.open_servers(request.config.stash[KIND][0], tmp_path_factory.mktemp("servers"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def servers_kind(servers: seam.Servers) -> str:
    """`local` or `containers`."""
    return servers.kind


@pytest.fixture(scope="session")
def java() -> None:
    """Skip, with the command that helps, where no usable Java is."""
    try:
        found = find()
    except JavaError as error:
        pytest.skip(str(error))
    os.environ["JAVA_HOME"] = str(found.home)


@pytest.fixture(scope="session")
def kafka_bootstrap(servers: seam.Servers, java: None) -> str:
    """A broker's host:port. Topics are shared by the session: name yours so that nobody else meets it."""
    return servers.kafka()


@pytest.fixture(scope="session")
def registry_url(servers: seam.Servers) -> str:
    """A schema registry's URL. Subjects are shared by the session."""
    return servers.registry()


@pytest.fixture(scope="session")
def redis_url(servers: seam.Servers) -> str:
    """A Redis or Valkey URL. Keys are shared by the session: use a tenant or version of your own."""
    return servers.redis()


@pytest.fixture(scope="session")
def s3(servers: seam.Servers) -> seam.S3Access:
    """An S3 endpoint, keys, and a bucket with versions and encryption. Choose a prefix of your own."""
    return servers.s3()


@pytest.fixture
def offline_settings(tmp_path: Path) -> Settings:
    """Settings with an empty data folder of this test alone; no server stands behind them."""
    return Settings(data_dir=tmp_path / "data", contracts_dir=CONTRACTS)


@pytest.fixture
def settings(offline_settings: Settings, kafka_bootstrap: str, registry_url: str, redis_url: str) -> Settings:
    """Settings with an empty data folder and lake of this test alone, on the session's servers."""
    return offline_settings.with_(
        kafka=KafkaSettings(bootstrap=kafka_bootstrap),
        registry=RegistrySettings(url=registry_url),
        redis=RedisSettings(url=SecretStr(redis_url)),
    )


@pytest.fixture
def s3_settings(settings: Settings, s3: seam.S3Access, tmp_path: Path) -> Settings:
    """Like `settings`, with the lake in a prefix of the bucket of this test alone."""
    lake = LakeSettings(
        uri=f"s3://{s3.bucket}/{tmp_path.parent.name}/{tmp_path.name}",
        s3_endpoint=s3.endpoint,
        s3_region=s3.region,
        s3_access_key=SecretStr(s3.access_key),
        s3_secret_key=SecretStr(s3.secret_key),
    )
    return settings.with_(lake=lake)


@pytest.fixture(scope="session")
def spark(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one Spark session of all tests, set up as streaming's: two cores, 1 GiB of heap, with the S3 jars besides."""
    from caudal.spark import session
    from streaming.session import CONF

    scratch = Settings(data_dir=tmp_path_factory.mktemp("spark"), contracts_dir=CONTRACTS)
    conf = {
        **CONF,
        "spark.jars": ",".join(str(jar) for jar in seam.s3_jars()),
        # One driver owns the lake, so its own log store may do put-if-absent.
        "spark.delta.logStore.s3a.impl": "io.delta.storage.S3SingleDriverLogStore",
    }
    started = session(scratch, "tests", "1g", conf)
    yield started
    started.stop()


@pytest.fixture
def spark_s3(spark: SparkSession, s3: seam.S3Access) -> SparkSession:
    """The same session, which now also reaches the test bucket through s3a."""
    hadoop = spark.sparkContext._jsc.hadoopConfiguration()
    for key, value in {
        "endpoint": s3.endpoint,
        "endpoint.region": s3.region,
        "access.key": s3.access_key,
        "secret.key": s3.secret_key,
        "path.style.access": "true",
        "connection.ssl.enabled": "false",
    }.items():
        hadoop.set(f"fs.s3a.{key}", value)
    return spark
