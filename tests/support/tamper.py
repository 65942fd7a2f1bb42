"""Breaking an install on purpose, and mending it: what no process of Caudal would do to its own stores.

Each helper is a context manager: inside it the install is broken, after it everything is as it was, byte for byte.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
from deltalake import DeltaTable

from caudal.lake import Lake
from schemas import manifest as manifests

Change = Callable[[pa.Table], pa.Table]


@contextmanager
def committed(table: Path, actions: Sequence[Mapping[str, Any]]) -> Iterator[int]:
    """A Delta commit written by hand, which only a stopped install forgives; gives its version."""
    version = DeltaTable(str(table)).version() + 1
    info = {"commitInfo": {"timestamp": _now_ms(), "operation": "WRITE", "operationParameters": {}}}
    log = table / "_delta_log" / f"{version:020d}.json"
    with log.open("x", encoding="utf-8") as file:
        file.write("".join(json.dumps(action) + "\n" for action in (info, *actions)))
    try:
        yield version
    finally:
        log.unlink()


@contextmanager
def replaced(table: Path, change: Change) -> Iterator[None]:
    """The largest file of an append-only table (no file of it has a deletion vector) replaced by a changed copy."""
    name = _largest(table)
    with _written(table, change(_read(table / name))) as add:
        remove = {"remove": {"path": name, "deletionTimestamp": _now_ms(), "dataChange": True}}
        with committed(table, [remove, add]):
            yield


@contextmanager
def added(table: Path, choose: Change) -> Iterator[None]:
    """Rows of the table's largest file put into the table once more."""
    with _written(table, choose(_read(table / _largest(table)))) as add, committed(table, [add]):
        yield


@contextmanager
def exposed(lake: Lake, mart: str) -> Iterator[int]:
    """A new version of a mart that no gate has seen, and readers sent to it; gives that version."""
    current = manifests.load_current(lake)
    assert current is not None
    files = {name: lake.read_bytes(name) for name in (manifests.CURRENT, f"_manifest/{current.number:010d}.json")}
    [group] = [name for name, group in current.groups.items() if mart in group.tables]
    entry = current.groups[group]
    with committed(Path(lake.uri) / entry.tables[mart].path, []) as version:
        served = {**entry.tables, mart: replace(entry.tables[mart], version=version)}
        forged = replace(current, groups={**current.groups, group: replace(entry, tables=served)})
        for name in files:
            lake.write_atomic(name, manifests.to_bytes(forged))
        try:
            yield version
        finally:
            for name, data in files.items():
                assert data is not None
                lake.write_atomic(name, data)


@contextmanager
def planted(file: Path, line: str) -> Iterator[None]:
    """A log file with one line."""
    file.write_text(f"{line}\n", encoding="utf-8")
    try:
        yield
    finally:
        file.unlink()


@contextmanager
def flipped(client: Any, key: str, position: int) -> Iterator[None]:
    """One bit of a value in Redis turned over."""
    before: bytes = client.get(key)
    changed = bytearray(before)
    changed[position] ^= 1
    client.set(key, bytes(changed), keepttl=True)
    try:
        yield
    finally:
        client.set(key, before, keepttl=True)


def leaky_web() -> None:
    """Serve the API and the page of the install that the environment names, without the predicate of the tenant."""
    import uvicorn
    from fastapi import FastAPI

    from caudal import settings
    from caudal.metrics import Metrics
    from serving.api import app as api
    from serving.api import scope
    from serving.dashboard import app as dashboard

    scope._predicate = lambda table, tenant: ""
    loaded, metrics = settings.load(), Metrics("leaky")
    app = FastAPI(docs_url=None, redoc_url=None)
    for part in (api, dashboard):
        app.include_router(part.build(loaded, metrics).router)
    uvicorn.run(app, host=loaded.web.host, port=loaded.web.port, log_level="warning", access_log=False)


def _largest(table: Path) -> str:
    files = pa.table(DeltaTable(str(table)).get_add_actions(flatten=True)).select(["path", "num_records"]).to_pylist()
    name: str = max(files, key=lambda file: file["num_records"] or 0)["path"]
    return name


def _read(file: Path) -> pa.Table:
    return parquet.ParquetFile(file).read()


@contextmanager
def _written(table: Path, rows: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows as a file of the table, in Spark's form of timestamps, and the action that adds it."""
    file = table / f"part-{uuid.uuid4()}.parquet"
    parquet.write_table(rows, file, compression="zstd", use_deprecated_int96_timestamps=True)
    stats = json.dumps({"numRecords": rows.num_rows})
    size = file.stat().st_size
    try:
        yield {
            "add": {
                "path": file.name,
                "partitionValues": {},
                "size": size,
                "modificationTime": _now_ms(),
                "dataChange": True,
                "stats": stats,
            }
        }
    finally:
        file.unlink()


def _now_ms() -> int:
    return int(time.time() * 1000)
