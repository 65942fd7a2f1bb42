"""The warehouse as a part of the platform: PostgreSQL and the stage under one supervisor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from caudal.lake import Lake
from caudal.local.errors import StartError
from caudal.local.plan import local_plan
from caudal.local.supervisor import Supervisor
from caudal.settings import load
from serving.warehouse.settings import WarehouseSettings
from tests.support.warehouse import ORDERS, Gold, order, rows


@pytest.fixture
def install() -> Iterator[Supervisor]:
    """An install of the warehouse alone; the other servers are named, and so not started."""
    flags = {"kafka.bootstrap": "127.0.0.1:1", "registry.url": "http://127.0.0.1:1", "redis.url": "redis://127.0.0.1:1"}
    with tempfile.TemporaryDirectory(prefix="caudal-up-") as folder:
        # as root the server runs as another user, who must be able to enter
        Path(folder).chmod(0o755)
        settings = load({"data_dir": f"{folder}/data", **flags}, {})
        try:
            plan = local_plan(settings, stages=(), contracts=False, extras=("warehouse",))
        except StartError as error:
            pytest.skip(str(error))
        with Supervisor(settings, plan) as supervisor:
            supervisor.start()
            yield supervisor


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_gold_reaches_tools_by_itself_and_after_a_death(install: Supervisor) -> None:
    """A manifest is followed, also behind a server that was killed; the stop leaves no process."""
    gold = Gold(Lake.open(install.settings))
    url = install.settings.section("serving.warehouse", WarehouseSettings).url.get_secret_value()

    def shown() -> int:
        try:
            with psycopg.connect(url, connect_timeout=2) as link:
                return len(rows(link, "SELECT * FROM gold.fct_orders"))
        except psycopg.Error:
            return 0

    gold.write("fct_orders", ORDERS, [order("a", 1)])
    gold.publish("fct_orders")
    until(lambda: shown() == 1, "the first manifest")
    install.kill("postgres")
    gold.write("fct_orders", ORDERS, [order("a", 2)])
    gold.publish("fct_orders")
    until(lambda: shown() == 2, "the manifest behind a killed server")
    pids = [state.pid for state in install.states()]
    below = [child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)]
    install.stop()
    until(lambda: not any(psutil.pid_exists(pid) for pid in (*pids, *below)), "the end of all processes")
