"""One PostgreSQL for all tests of the warehouse; each test has a database and a lake of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from caudal.lake import Lake
from caudal.local.errors import StartError
from caudal.settings import Settings
from serving.warehouse import logins
from serving.warehouse.settings import WarehouseSettings
from tests.support import warehouse as seam

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_admin() -> Iterator[str]:
    """The administrator's address of a PostgreSQL that lives as long as the session."""
    try:
        with seam.server() as url:
            yield url
    except StartError as error:
        pytest.skip(str(error))


@pytest.fixture
def settings(tmp_path: Path, postgres_admin: str) -> Settings:
    """An install with an empty lake, an empty database, and a publisher of its own."""
    return seam.settings(tmp_path / "data", seam.database(postgres_admin, f"wh{next(_NUMBERS)}"))


@pytest.fixture
def gold(settings: Settings) -> seam.Gold:
    return seam.Gold(Lake.open(settings))


@pytest.fixture
def publisher(settings: Settings) -> Iterator[psycopg.Connection]:
    """The publisher's own connection."""
    url = settings.section("serving.warehouse", WarehouseSettings).url.get_secret_value()
    with psycopg.connect(url, autocommit=True) as link:
        yield link


@pytest.fixture
def login(settings: Settings, publisher: psycopg.Connection) -> Iterator[seam.Login]:
    """Makes a login of a tenant (None: an operator) and connects as it."""
    section = settings.section("serving.warehouse", WarehouseSettings)
    opened: list[psycopg.Connection] = []

    def make(tenant: str | None, *, masks: bool = False) -> psycopg.Connection:
        name = f"bi_{next(_NUMBERS)}"
        password = logins.add(publisher, name, tenant, masks=masks, settings=section)
        url = section.url.get_secret_value()
        opened.append(psycopg.connect(url, user=name, password=password, autocommit=True))
        return opened[-1]

    yield make
    for link in opened:
        name = link.info.user
        link.close()
        logins.remove(publisher, name)
