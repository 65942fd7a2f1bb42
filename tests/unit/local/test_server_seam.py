"""The seam that gives tests their servers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.support import servers

ROOT = Path(__file__).resolve().parents[3]


def test_somebody_may_decide_where_servers_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable wins over what Docker would answer, and the reason is told."""
    monkeypatch.setenv("CAUDAL_TEST_SERVERS", "containers")
    assert servers.choose() == ("containers", "CAUDAL_TEST_SERVERS says so")


def test_containers_are_those_of_the_real_stack() -> None:
    """The images that tests start are the ones in the compose file, to the letter."""
    containers = pytest.importorskip("tests.support.containers")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    used = {service.get("image") for service in services.values()}
    images = {containers.KAFKA_IMAGE, containers.REGISTRY_IMAGE, containers.REDIS_IMAGE, containers.S3_IMAGE}
    assert images <= used
