from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from caudal import tokens
from caudal.lake import Lake
from caudal.local import kafka
from caudal.local.child import Running
from caudal.local.ports import Ports, any_free
from caudal.metrics import Metrics
from caudal.settings import KafkaSettings, Settings
from serving.api import app as api
from tests.support import gold_lake as gold
from tests.support.servers import JARS_DIR


@pytest.fixture
def broker(java: None, tmp_path: Path) -> Iterator[Running]:
    """A broker of this test alone, because the test kills it."""
    ports = Ports()
    running = Running(kafka.child(tmp_path / "kafka", *any_free(ports, 2), jars_dir=JARS_DIR), tmp_path / "kafka.log")
    running.wait_ready()
    yield running
    running.stop(hurry=lambda: True)
    ports.release()


@pytest.mark.kafka
def test_a_killed_broker_is_named(
    offline_settings: Settings, broker: Running, registry_url: str, redis_url: str
) -> None:
    """With all servers up the web process is ready; the broker killed, it says 503, why, and still serves gold."""
    settings = offline_settings.with_(
        kafka=KafkaSettings(bootstrap=broker.child.url), registry={"url": registry_url}, redis={"url": redis_url}
    )
    gold.publish_live(Lake.open(settings))
    mounted = api.build(settings, Metrics("web"))
    app = FastAPI()
    app.include_router(mounted.router)
    client = TestClient(app)
    store = tokens.open_store(settings.data_dir)
    reader = {"Authorization": f"Bearer {store.issue('reader', gold.SHOPS[0])}"}
    before = client.get("/readyz")
    assert (before.status_code, before.json()["ready"]) == (200, True), before.text
    assert set(before.json()["dependencies"]) == {"kafka", "registry", "redis", "lake"}

    os.killpg(broker.pid, signal.SIGKILL)
    broker.process.wait(10)
    deadline = time.monotonic() + 20
    # an answer is kept for a second, so the first may still be the old one
    while (after := client.get("/readyz")).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert after.status_code == 503
    assert after.headers["retry-after"] == "5"
    assert not after.json()["dependencies"]["kafka"]["ok"]
    assert "kafka" in after.json()["reason"]
    assert client.get("/v1/gold/fct_orders", headers=reader).status_code == 200
    store.close()
    mounted.close()
