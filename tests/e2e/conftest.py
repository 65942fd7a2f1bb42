"""One platform, started by `caudal up`, that several modules share one after the other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.install import Install

HERE = Path(__file__).parent
CONTRACTS = HERE.parents[1] / "schemas" / "contracts"
STAGES = ("streaming", "batch", "web")
RUNNING = pytest.StashKey[Install]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share the platform run one after the other, behind those that start an install of their own."""
    places = [place for place, item in enumerate(items) if HERE in item.path.parents]
    ordered = sorted((items[place] for place in places), key=_shares)
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
    """Servers, streaming, batch and web, ready, with a contracts folder of their own and nobody playing."""
    data = tmp_path_factory.mktemp("platform") / "data"
    shutil.copytree(CONTRACTS, data / "contracts")
    # The full group follows each change at once: its checks are waited for.
    env = {"CAUDAL_CONTRACTS_DIR": str(data / "contracts"), "CAUDAL_BATCH__FULL_AFTER_S": "1"}
    running = Install(data, env).start("up", "--stages", ",".join(STAGES))
    request.config.stash[RUNNING] = running
    try:
        running.until(lambda: all(_ready(running, name) for name in STAGES), "every stage ready")
        yield running
    finally:
        running.stop()


def _ready(install: Install, name: str) -> bool:
    install.progress.read()
    return install.progress.ready(name)


def _shares(item: pytest.Item) -> bool:
    return "platform" in getattr(item, "fixturenames", ())
