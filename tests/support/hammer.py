"""A reader that never rests: asks the API and opens the manifest's tables while cycles run, fail and are killed."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from fastapi import FastAPI
from fastapi.testclient import TestClient

from caudal import tokens
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import Settings
from schemas import manifest as manifests
from schemas.manifest import TableVersion
from serving.api import app as api


@dataclass
class Seen:
    """What was read: by mart and version the digests of its content, from its files and from the API's answers."""

    content: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    answers: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    refused: list[str] = field(default_factory=list)
    turns: int = 0

    def check(self, lake: Lake) -> None:
        """Only versions that a manifest names, each always with the same content, and never no answer."""
        assert self.turns > 2
        assert self.refused == []
        published = {version for number in _numbers(lake) for version in _named(lake, number)}
        for seen in (self.content, self.answers):
            assert set(seen) <= published
            assert {key: len(found) for key, found in seen.items() if len(found) > 1} == {}
        assert set(self.answers) >= set(self.content)


@contextmanager
def hammering(settings: Settings, group: str) -> Iterator[Seen]:
    """Reads of all marts of a group in a thread of their own for as long as the block runs, and once after it."""
    own = settings.with_(serving={"api": {"rate_per_s": 1e6, "burst": 10**6}})
    mounted, store = api.build(own, Metrics("web", own.run_dir / "metrics")), tokens.open_store(own.data_dir)
    app = FastAPI()
    app.include_router(mounted.router)
    client = TestClient(app, raise_server_exceptions=False)
    client.headers["Authorization"] = f"Bearer {store.issue('operator')}"
    lake, seen, stop = Lake.open(settings), Seen(), threading.Event()

    def read() -> None:
        # A breath between two rounds, or the cycle in this same process would hardly get on.
        while not stop.wait(0.3):
            _turn(lake, group, client, seen)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield seen
    finally:
        stop.set()
        reader.join()
        _turn(lake, group, client, seen)
        mounted.close()
        store.close()


def _turn(lake: Lake, group: str, client: TestClient, seen: Seen) -> None:
    manifest = manifests.load_current(lake)
    if manifest is None or group not in manifest.groups:
        return
    for mart, table in manifest.groups[group].tables.items():
        seen.content[mart, table.version].add(_digest(lake, table))
        answer = client.get(f"/v1/gold/{mart}?limit=1000")
        if answer.status_code == 200:
            page = answer.json()
            seen.answers[mart, page["version"]].add(_hash(page["rows"]))
        else:
            seen.refused.append(f"{mart}: {answer.status_code} {answer.json().get('code')}")
    seen.turns += 1


def _digest(lake: Lake, table: TableVersion) -> str:
    opened = DeltaTable(lake.address(table.path), version=table.version)
    return _hash(pa.table(QueryBuilder().register("t", opened).execute("select * from t").read_all()).to_pylist())


def _hash(rows: Iterable[object]) -> str:
    """The same for the same rows, in whatever files and order they are."""
    return hashlib.sha256(repr(sorted(map(repr, rows))).encode()).hexdigest()


def _numbers(lake: Lake) -> range:
    current = manifests.load_current(lake)
    return range(1, current.number + 1) if current else range(0)


def _named(lake: Lake, number: int) -> Iterator[tuple[str, int]]:
    manifest = manifests.load(lake, number)
    assert manifest is not None
    yield from ((mart, table.version) for mart, table in manifest.tables.items())
