"""A steady load, and how old events are when silver shows them: from the producer's clock to the commit's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Producer
from deltalake import DeltaTable

from caudal.cli.bench.events import Event, events
from caudal.cli.bench.jobs import Rig, path
from caudal.lake import Lake
from caudal.query import Query as Sql
from schemas import topics
from streaming.batches import Batches
from streaming.lag import Lag, behind
from streaming.query import Query

# What the start of a load costs is not what a load costs.
WARM_UP_S = 30.0
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def ages(rig: Rig, folder: Path, rate: int, seconds: float, say: Callable[[str], None]) -> dict[str, float]:
    """Play `rate` events/s for `seconds` after a warm-up; quantiles of age in silver, in seconds, and `events`."""
    with path(rig, folder) as batches:
        query = Query(rig.spark, rig.at(folder), rig.own, batches)
        query.start()
        try:
            _play(rig, rate, WARM_UP_S, seed=1)
            since_ms = int(time.time() * 1000)
            player = threading.Thread(target=_play, args=(rig, rate, seconds, 2), daemon=True)
            player.start()
            while player.is_alive():
                player.join(5)
                say(f"bench: steady load of {rate}/s, batch {batches.raw.batch}")
            _settle(rig, batches)
        finally:
            query.stop()
    return quantiles(Lake.open(rig.at(folder)), rig.released.contract.table, since_ms)


def quantiles(lake: Lake, table: str, since_ms: int) -> dict[str, float]:
    """Age of the rows published since then, when the commit that holds them was made. Seconds."""
    opened = DeltaTable(lake.table("silver", table), storage_options=lake.storage_options or None)
    made_at = {int(entry["version"]): int(entry["timestamp"]) for entry in opened.history()}
    query = Sql(lake)
    query.table("t", "silver", table)
    rows = query.arrow("select _version, _published_at from t")
    published = rows["_published_at"].cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
    commits = pc.index_in(rows["_version"], pa.array(list(made_at), pa.int64()))
    seconds = pc.divide(pc.subtract(pc.take(pa.array(list(made_at.values())), commits), published), 1000.0)
    fresh = seconds.filter(pc.greater_equal(published, since_ms))
    found = pc.quantile(fresh, q=list(QUANTILES.values())).to_pylist()
    return {**{name: round(age, 2) for name, age in zip(QUANTILES, found, strict=True)}, "events": len(fresh)}


def produce(rig: Rig, made: Iterable[Event], pause: Callable[[int], float] = lambda sent: 0.0) -> int:
    """Publish events to the contract's topic; `pause(sent)` says how long to wait after so many. Returns how many."""
    conf = {**topics.client_conf(rig.settings), "acks": "all", "compression.type": "zstd", "linger.ms": 5}
    producer, topic, sent = Producer({**conf, "queue.buffering.max.messages": 200_000}), rig.released.contract.topic, 0
    for event in made:
        while True:
            try:
                producer.produce(topic, key=event.key, value=event.value)
                break
            except BufferError:
                producer.poll(0.1)
        sent += 1
        wait = pause(sent)
        if wait > 0:
            producer.poll(0)
            time.sleep(wait)
    left = producer.flush(60)
    if left:
        raise RuntimeError(f"{left} records were not taken by the broker")
    return sent


def _play(rig: Rig, rate: int, seconds: float, seed: int) -> None:
    """On time, in steps of 10 ms."""
    began = time.monotonic()

    def ahead(sent: int) -> float:
        due = sent / rate - (time.monotonic() - began)
        return due if due > 0.01 else 0.0

    produce(rig, events(rig.released, int(rate * seconds), seed), ahead)


def _settle(rig: Rig, batches: Batches, patience_s: float = 300) -> None:
    """Wait until silver has what the topic has."""
    topic, deadline, lag = rig.released.contract.topic, time.monotonic() + patience_s, Lag(rig.settings)
    while time.monotonic() < deadline:
        done = {name: dict(parts) for name, parts in batches.raw.ends.items()}
        left = behind(lag.ends({topic: list(done.get(topic, {}))}), done).get(topic, 0)
        if done and not left and all(worker.covered >= batches.raw.batch for worker in batches.workers.values()):
            return
        time.sleep(0.2)
