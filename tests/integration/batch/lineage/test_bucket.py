"""Lineage and catalogue of a lake on a real S3 server."""

from __future__ import annotations

from batch.lineage import catalogue, follow
from batch.lineage.events import Places
from batch.lineage.follow import Follower
from caudal.clock import SystemClock
from caudal.lake import Lake
from caudal.settings import Settings
from tests.support import gold_lake, lineage_lake
from tests.support.lineage_lake import NOW_MS, graph


def test_a_bucket_is_followed_and_told_like_a_folder(s3_settings: Settings) -> None:
    """Events lie in the bucket and name it, and tables are opened there."""
    lake = Lake.open(s3_settings)
    lineage_lake.commit(lake, "commerce.order", 1, read=1, applied=1)
    gold_lake.publish_live(lake)
    follow.save(lake, follow.Position(0))
    done = Follower(lake, graph, Places(lake.uri, "broker:9092"), SystemClock(), 1 << 20).once()
    [file] = done.files
    silver = follow.read(lake, file)[1]["outputs"][1]
    bucket, _, prefix = lake.uri.removeprefix("s3://").partition("/")
    assert silver["namespace"] == f"s3://{bucket}"
    assert silver["name"] == f"{prefix}/silver/commerce_order".lstrip("/")
    found = {table["id"]: table for table in catalogue.build(lake, graph(), NOW_MS, samples=True)["tables"]}
    assert found["gold.fct_orders"]["state"]["address"] == f"{lake.uri}/gold/fct_orders"
    assert found["gold.fct_orders"]["state"]["rows"] == len(gold_lake.rows()["fct_orders"])
    assert found["gold.fct_orders"]["samples"]["rows"]
    assert found["silver.commerce_order"]["state"] is None
