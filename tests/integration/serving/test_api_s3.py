from __future__ import annotations

from fastapi import FastAPI
from fastapi.testclient import TestClient

from caudal import tokens
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import LakeSettings, Settings
from serving.api import app as api
from serving.api.gold import Reader
from serving.dashboard.figures import Figures
from tests.support import gold_lake as gold
from tests.support.servers import S3Access


def test_gold_is_served_from_a_bucket(offline_settings: Settings, s3: S3Access) -> None:
    """With the lake on S3 the API reads the manifest and exactly its versions, and the page has its figures."""
    settings = offline_settings.with_(
        lake=LakeSettings.model_validate(
            {
                "uri": f"s3://{s3.bucket}/test-api-s3",
                "s3_endpoint": s3.endpoint,
                "s3_region": s3.region,
                "s3_access_key": s3.access_key,
                "s3_secret_key": s3.secret_key,
            }
        )
    )
    lake = Lake.open(settings)
    gold.publish_live(lake)
    gold.publish_full(lake)
    gold.dead_letters(lake, ["CDL-MAGIC"])
    mounted = api.build(settings, Metrics("web"))
    app = FastAPI()
    app.include_router(mounted.router)
    client = TestClient(app)
    store = tokens.open_store(settings.data_dir)
    headers = {"Authorization": f"Bearer {store.issue('reader', gold.SHOPS[0])}"}
    body = client.get("/v1/gold/fct_orders?limit=100", headers=headers).json()
    assert (body["version"], len(body["rows"])) == (0, 20)
    gold.publish_live(lake, scale=2)
    body = client.get("/v1/gold/fct_orders?limit=100", headers=headers).json()
    assert (body["version"], len(body["rows"])) == (1, 40)
    reader = Reader(lake, groups=("live", "full"), open_tables=8)
    figures = Figures(lake, reader)
    assert (figures.dead_letters() or [{}])[0]["code"] == "CDL-MAGIC"
    found = figures.of("overview", reader.current())
    assert {name: figure["why"] for name, figure in found.items()} == dict.fromkeys(found, "")
    store.close()
    mounted.close()
