"""A steady load, and how old events are when silver shows them: from the producer's clock to the commit's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from caudal.cli.bench import measure
from caudal.cli.bench.events import Event, events
from caudal.cli.bench.jobs import Rig, path
from caudal.lake import Lake
from schemas import topics
from streaming.batches import Batches
from streaming.lag import Lag, behind
from streaming.query import Query

# What the start of a load costs is not what a load costs.
WARM_UP_S = 30.0


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
    return quantiles(Lake.open(rig.at(folder)), [one.contract.table for one in rig.all], since_ms)


def quantiles(lake: Lake, tables: Sequence[str], since_ms: int) -> dict[str, float]:
    """Age of the rows published since then, when the commit that holds them was made. Seconds."""
    fresh = measure.ages(lake, tables, since_ms)["age"]
    return {**measure.quantiles(fresh), "events": len(fresh)}


def emptied(rig: Rig) -> None:
    """Delete the rig's topic and make it anew."""
    topic, admin = rig.released.contract.topic, AdminClient(topics.client_conf(rig.settings))
    admin.delete_topics([topic])[topic].result(60)
    while topic in admin.list_topics(timeout=20).topics:
        time.sleep(0.2)
    topics.Topics(rig.settings).ensure_for(rig.released.contract)


def produce(rig: Rig, made: Iterable[Event], pause: Callable[[int], float] = lambda sent: 0.0) -> int:
    """Publish events to their topics; `pause(sent)` says how long to wait after so many. Returns how many."""
    conf = {**topics.client_conf(rig.settings), "acks": "all", "compression.type": "zstd", "linger.ms": 5}
    producer, sent = Producer({**conf, "queue.buffering.max.messages": 200_000}), 0
    for event in made:
        while True:
            try:
                producer.produce(event.topic, key=event.key, value=event.value)
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

    each = [events(one, int(rate * seconds), seed * 1000 + n) for n, one in enumerate(rig.all)]
    produce(rig, islice(chain.from_iterable(zip(*each, strict=True)), int(rate * seconds)), ahead)


def _settle(rig: Rig, batches: Batches, patience_s: float = 300) -> None:
    """Wait until silver has what the topics have."""
    deadline, lag = time.monotonic() + patience_s, Lag(rig.settings)
    topics_ = [one.contract.topic for one in rig.all]
    while time.monotonic() < deadline:
        done = {name: dict(parts) for name, parts in batches.raw.ends.items()}
        left = sum(behind(lag.ends({topic: list(done.get(topic, {})) for topic in topics_}), done).values())
        if done and not left and all(worker.covered >= batches.raw.batch for worker in batches.workers.values()):
            return
        time.sleep(0.2)
