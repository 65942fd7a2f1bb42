"""What one install on this machine consists of, in the order of its start."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Sequence
from typing import Any, Literal

from caudal.alerts import Alerts
from caudal.errors import SettingsError
from caudal.local import kafka, orphans, postgres, record, s3, stages, valkey
from caudal.local.child import Child, Item, Step
from caudal.local.effective import said
from caudal.local.java import find
from caudal.local.ports import CLAIMS, Ports, any_free
from caudal.settings import Settings

Lake = Literal["local", "s3"]
STAGES = ("streaming", "batch", "scorer", "web", "sealer")
# Where each server would like to listen; a busy port moves to the next free one.
PORTS = {"kafka": 9092, "kafka controller": 19093, "registry": 8081, "valkey": 6379, "s3": 8333, "postgres": 5432}
# What an install has when it is asked for, each with a server of its own unless the settings name one.
EXTRAS = ("warehouse",)
# Stages whose process starts a JVM.
_ON_SPARK = ("streaming", "batch")


def local_plan(
    settings: Settings,
    *,
    lake: Lake | None = None,
    stages: Sequence[str] = STAGES,
    contracts: bool = True,
    extras: Sequence[str] = (),
    ports: Ports = CLAIMS,
) -> list[Item]:
    """Servers, then contracts, then stages. A server that the user named in the settings is used and not started.

    `lake` None: as this data folder had it before, else a local folder. Left-behind processes of a killed supervisor
    are ended first, so that their ports are free again.

    Raises:
        SettingsError: the data folder holds a lake of the other kind.
        JavaError, JarsError: the set-up has not finished.
        StartError: an extra's server is not installed.
    """
    orphans.end_if_alone(settings.run_dir)
    items: list[Item] = [*_servers(settings, ports), *_lake(settings, lake, ports), *_extras(settings, extras, ports)]
    if contracts:
        items += [Step("contracts", _apply), Step("contracts watch", _watch, background=True)]
    return [*items, *_stages(settings, [*stages, *extras], ports)]


def _servers(settings: Settings, ports: Ports) -> list[Child]:
    found: list[Child] = []
    data = settings.data_dir
    if not said(settings, "kafka.bootstrap"):
        pair = ports.take(PORTS["kafka"]), ports.take(PORTS["kafka controller"])
        found.append(kafka.child(data / "kafka", *pair, jars_dir=settings.spark.jars_dir))
    if not said(settings, "registry.url"):
        url = f"http://127.0.0.1:{ports.take(PORTS['registry'])}"
        found.append(stages.registry(url, {"CAUDAL_DATA_DIR": str(data.resolve())}))
    if not said(settings, "redis.url"):
        found.append(valkey.child(data / "valkey", ports.take(PORTS["valkey"])))
    return found


def _lake(settings: Settings, wanted: Lake | None, ports: Ports) -> list[Child]:
    """The S3 server when the lake is on it; else the local folder, said in so many words to every child."""
    if said(settings, "lake.uri"):
        return []
    mark = settings.data_dir / "lake.kind"
    before = mark.read_text(encoding="utf-8").strip() if mark.exists() else None
    if before and wanted and before != wanted:
        raise SettingsError(
            f"this data folder's lake is {before}, not {wanted}",
            where=str(settings.data_dir),
            why="the broker, the feature store and the lake of one folder belong together",
            fix=f"name another folder with --data, or start with --lake {before}",
        )
    kind = wanted or before or "local"
    record.write(mark, kind + "\n")
    if kind == "local":
        return []
    return [s3.child(settings.data_dir / "s3", [ports.take(PORTS["s3"]), *any_free(ports, s3.PORTS - 1)])]


def _extras(settings: Settings, names: Sequence[str], ports: Ports) -> list[Child]:
    if "warehouse" not in names or said(settings, "serving.warehouse.url"):
        return []
    return [postgres.child(settings.data_dir / "postgres", ports.take(PORTS["postgres"]))]


def _stages(settings: Settings, names: Sequence[str], ports: Ports) -> list[Child]:
    found = []
    for name in names:
        if name == "web":
            port = ports.take(settings.web.port, settings.web.host)
            url = f"http://{settings.web.host}:{port}"
            found.append(stages.child(name, settings.run_dir, url=url, ports={"web": port}, gives={"web.port": port}))
        else:
            # Spark looks the machine's own name up at each start unless it is told where to listen.
            env = {"JAVA_HOME": str(find().home), "SPARK_LOCAL_IP": "127.0.0.1"} if name in _ON_SPARK else {}
            found.append(stages.child(name, settings.run_dir, env=env))
    return found


# The contracts belong to a stage of their own, which the platform knows by name only, as it does all stages.
def _apply(settings: Settings, stop: threading.Event) -> None:
    catalog = _named("schemas.load").load_catalog(settings.contracts_dir)
    for applied in _named("schemas.apply").apply(settings, catalog):
        if applied.error is not None:
            # One contract that may not be released must not keep the others from running.
            summary = f"contract {applied.contract} was refused: {applied.error.what}"
            Alerts.open(settings).raise_(applied.error.code, summary, applied.contract)


def _watch(settings: Settings, stop: threading.Event) -> None:
    _named("schemas.watch").watch(settings, stop)


def _named(module: str) -> Any:
    return importlib.import_module(module)
