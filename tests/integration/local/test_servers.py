"""The servers of the session do what the stages rely on."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from tests.support.servers import S3Access


@pytest.mark.kafka
def test_the_broker_creates_no_topic_by_itself(kafka_bootstrap: str) -> None:
    """A topic that nobody made is not there after somebody asked for it."""
    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    admin.list_topics("nobody.made.this", timeout=10)
    assert "nobody.made.this" not in admin.list_topics(timeout=10).topics


def test_the_registry_answers_the_usual_client(registry_url: str) -> None:
    """A schema registered through confluent-kafka's client can be read back by its id."""
    client = SchemaRegistryClient({"url": registry_url})
    schema_id = client.register_schema("smoke-value", Schema('"string"', "AVRO"))
    assert client.get_schema(schema_id).schema_str == '"string"'


def test_valkey_runs_functions(redis_url: str) -> None:
    """The feature store's server loads and runs a Function."""
    import redis

    client: Any = redis.Redis.from_url(redis_url)
    client.function_load(
        "#!lua name=smoke\nredis.register_function('smoke', function(k, a) return 7 end)", replace=True
    )
    assert client.fcall("smoke", 0) == 7
    client.close()


def test_the_bucket_keeps_versions_and_encrypts(s3: S3Access) -> None:
    """An object overwritten in the lake's bucket has two versions, encrypted at rest."""
    from caudal.local.s3 import Keys, client

    bucket = client(s3.endpoint, Keys(s3.access_key, s3.secret_key, ""))
    answers = [bucket.put_object(Bucket=s3.bucket, Key="smoke/x", Body=body) for body in (b"1", b"2")]
    assert [a["ServerSideEncryption"] for a in answers] == ["AES256", "AES256"]
    assert len(bucket.list_object_versions(Bucket=s3.bucket, Prefix="smoke/x")["Versions"]) == 2


def test_servers_listen_on_loopback_only(redis_url: str) -> None:
    """Nothing that tests or `caudal up` start can be reached from another machine."""
    port = int(redis_url.rpartition(":")[2].split("/")[0])
    own = socket.gethostbyname(socket.gethostname())
    if own.startswith("127."):
        pytest.skip("this machine has no other address than loopback")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((own, port), timeout=1)


@pytest.mark.spark
def test_spark_writes_delta_on_s3_and_deltalake_reads_it(spark_s3: Any, s3: S3Access) -> None:
    """A Delta table written through s3a is read without a JVM."""
    import deltalake

    path = f"{s3.bucket}/smoke/table"
    spark_s3.range(5).write.format("delta").mode("overwrite").save(f"s3a://{path}")
    options = {
        "AWS_ENDPOINT_URL": s3.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": s3.region,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
    }
    table = deltalake.DeltaTable(f"s3://{path}", storage_options=options)
    rows = deltalake.QueryBuilder().register("t", table).execute("select sum(id) s from t").read_all()
    assert rows["s"].to_pylist() == [10]
