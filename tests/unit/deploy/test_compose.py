from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from caudal.settings import Settings, load

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "deploy" / "images" / "Dockerfile").read_text()
# What may differ between `caudal up` and the compose stack: where things are, never what is done.
ENDPOINTS = {
    "profile", "data_dir", "kafka.bootstrap", "registry.url", "redis.url", "lake.uri", "lake.s3_endpoint",
    "lake.s3_access_key", "lake.s3_secret_key", "web.host", "web.port",
}  # fmt: skip
ONE_SHOT = {"bucket", "contracts", "simulate"}


def test_the_file_fits_the_compose_specification() -> None:
    """The compose file is valid by the specification's own schema."""
    schema = json.loads((Path(__file__).parent / "schema" / "compose-spec.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [f"{e.json_path}: {e.message[:120]}" for e in validator.iter_errors(COMPOSE)] == []


def test_the_profile_differs_in_endpoints_only() -> None:
    """Every Caudal setting of the stack is an endpoint, and the settings model takes it."""
    for name, service in SERVICES.items():
        env = {k: str(v) for k, v in service.get("environment", {}).items() if k.startswith("CAUDAL_")}
        if service.get("image", "").startswith("caudal/"):
            settings = load(environ={**env, "CAUDAL_CONFIG": "/nowhere"})
            assert set(settings.origins()) == ENDPOINTS, name
            assert isinstance(settings, Settings)
        else:
            assert env == {}, name


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_each_service_is_bounded_and_watched(name: str) -> None:
    """Memory has a limit, servers have a health check, images have a version, ports are on loopback."""
    service = SERVICES[name]
    assert service["mem_limit"]
    assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", service["image"])
    assert "healthcheck" in service or name in ONE_SHOT
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert not service.get("privileged", False)


def test_volumes_and_dependencies_exist() -> None:
    """Named volumes are declared, files that are mounted exist, and services wait for services that are there."""
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        for dependency, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in SERVICES[dependency]


def test_no_secret_is_written_down() -> None:
    """Secrets come from the environment, and a missing one stops the start with a sentence."""
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("PASSWORD", "SECRET_KEY", "ACCESS_KEY", "requirepass", "REDISCLI_AUTH"):
        for line in (line for line in text.splitlines() if name in line and not line.lstrip().startswith("#")):
            assert "${CAUDAL_SECRET_" in line, line
    used = set(re.findall(r"\$\{(CAUDAL_SECRET_\w+)", text))
    made = set(re.findall(r"^(CAUDAL_SECRET_\w+)=", (ROOT / "deploy/compose/secrets.sh").read_text(), re.M))
    assert used == made
    assert all(":?" in use for use in re.findall(r"\$\{CAUDAL_SECRET_[^}]*\}", text))


def test_images_build_from_what_is_here() -> None:
    """Each target is a stage of the Dockerfile, each copied file exists, and nothing runs as root at the end."""
    stages = re.findall(r"^FROM \S+ AS (\w+)$", DOCKERFILE, re.M)
    targets = {s["build"]["target"] for s in SERVICES.values() if "build" in s}
    assert targets <= set(stages)
    for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.M):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    for stage in targets:
        body = DOCKERFILE.split(f" AS {stage}\n")[1].split("\nFROM ")[0]
        assert "USER caudal" in body
    packages = re.search(r"^packages = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.M)
    assert packages
    assert all(f"COPY {p.strip().strip(chr(34))} " in DOCKERFILE for p in packages[1].split(","))


def test_the_broker_is_the_one_of_the_laptop() -> None:
    """What both brokers set, they set alike."""
    from caudal.local.kafka import PROPERTIES

    env = SERVICES["kafka"]["environment"]
    shared = {k.removeprefix("KAFKA_").lower().replace("_", "."): v for k, v in env.items() if k.startswith("KAFKA_")}
    differ = {"listener.security.protocol.map"}
    common = (set(shared) & set(PROPERTIES)) - differ
    assert len(common) >= 8
    assert {k: PROPERTIES[k] for k in common} == {k: str(shared[k]) for k in common}
