"""Installs that several modules share one after the other: starting one costs more than most tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.install import CAUDAL, Install

HERE = Path(__file__).parent
CONTRACTS = HERE.parents[1] / "schemas" / "contracts"
STAGES = ("streaming", "batch", "web")
RUNNING = pytest.StashKey[Install]()
# These use one data folder in this order: delivered, broken and mended, then killed. The others follow.
ORDER = ("test_once", "test_tamper", "test_kills")
# Fewer people than verify samples, so that a breach of one of them is met for certain.
FEWER = {"CAUDAL_PRODUCERS__SIMULATE__CUSTOMERS": "60"}


@dataclass(frozen=True)
class Delivered:
    """A data folder on which `caudal demo --once` has run to its end, and what it said."""

    data: Path
    done: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def delivered(java: None, tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """A newcomer's first command on an empty folder. Nothing of it runs any more."""
    data = tmp_path_factory.mktemp("once") / "data"
    done = subprocess.run(
        [*CAUDAL, "demo", "--once", "--rate", "0.5", "--data", str(data), "-o", "json"],
        env={**os.environ, **FEWER},
        capture_output=True,
        text=True,
        timeout=1100,
        check=False,
    )
    return Delivered(data, done)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share a folder or a platform run one after the other."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    ordered = sorted((items[place] for place in places), key=_turn)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Two cores carry one stack: it ends with the last test in a row that shares it, not with the session."""
    running = item.config.stash.get(RUNNING, None)
    if running is not None and (nextitem is None or not _shares(nextitem)):
        running.stop()


@pytest.fixture(scope="session")
def platform(java: None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    """Servers, streaming, batch and web on an S3 lake, ready, with contracts of their own and nobody playing."""
    data = tmp_path_factory.mktemp("platform") / "data"
    shutil.copytree(CONTRACTS, data / "contracts")
    # The full group follows changes sooner than it would, since its checks are waited for; it has most of the marts, so
    # not after each of them.
    env = {"CAUDAL_CONTRACTS_DIR": str(data / "contracts"), "CAUDAL_BATCH__FULL_AFTER_S": "60"}
    running = Install(data, env).start("up", "--lake", "s3", "--stages", ",".join(STAGES))
    request.config.stash[RUNNING] = running
    try:
        running.until(lambda: all(_ready(running, name) for name in STAGES), "every stage ready")
        yield running
    finally:
        running.stop()


def _ready(install: Install, name: str) -> bool:
    install.progress.read()
    return install.progress.ready(name)


def _turn(item: pytest.Item) -> tuple[bool, int]:
    name = item.path.stem
    return _shares(item), ORDER.index(name) if name in ORDER else len(ORDER)


def _shares(item: pytest.Item) -> bool:
    return "platform" in getattr(item, "fixturenames", ())
