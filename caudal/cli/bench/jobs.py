"""What is measured: a bare copy, the plain job of an afternoon, and Caudal's whole path; each reads a topic to its end.

All three run in one session, read by the same source in the same batches, and write Delta tables of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caudal.alerts import Alerts
from caudal.clock import SystemClock
from caudal.lake import Lake
from caudal.metrics import Metrics
from caudal.settings import LakeSettings, Settings
from schemas.distribution import Released
from schemas.wire import compact
from streaming import asked, decode, jvm, read, registered, session
from streaming.batches import Batches
from streaming.ledger import Ledger
from streaming.settings import StreamingSettings
from streaming.worker import Shop
from streaming.writers import Writers

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Write = Callable[["DataFrame", int], None]
_CODEC = "spark.sql.parquet.compression.codec"


@dataclass(frozen=True)
class Rig:
    """What all jobs share: the session, the install's settings, sizes of batches, and the contracts that are read."""

    spark: SparkSession
    settings: Settings
    own: StreamingSettings
    released: Released
    others: tuple[Released, ...] = ()

    @property
    def all(self) -> tuple[Released, ...]:
        """Every contract that is read."""
        return (self.released, *self.others)

    def at(self, folder: Path) -> Settings:
        """The settings with a lake and a data folder of this run alone, and this one contract."""
        lake, contract = LakeSettings(uri=str(folder / "lake")), self.released.contract.source_dir
        assert contract is not None
        return self.settings.with_(lake=lake, data_dir=folder, contracts_dir=contract.parents[1])


def bare(rig: Rig, folder: Path) -> float:
    """Kafka's bytes to one Delta table, nothing decoded. Seconds."""
    path = str(folder / "bytes")

    def write(frame: DataFrame, _: int) -> None:
        session.suit(frame.sparkSession, rig.own.batch_records, rig.own)
        frame.write.format("delta").mode("append").save(path)

    return _drain(rig, folder, write)


def plain(rig: Rig, folder: Path) -> float:
    """The batch persisted, its bytes appended, one `from_avro` of one fixed schema, appended. Seconds."""
    from pyspark.sql import functions as F
    from pyspark.sql.avro.functions import from_avro

    contract = rig.released.contract
    schema = compact(contract.latest.wire)
    body = from_avro(F.expr(f"substring(value, {decode.HEADER_BYTES + 1})"), schema, {"mode": "PERMISSIVE"})

    def write(frame: DataFrame, _: int) -> None:
        session.suit(frame.sparkSession, rig.own.batch_records, rig.own)
        held = frame.persist()
        held.write.format("delta").mode("append").save(str(folder / "bytes"))
        held.select(body.alias("r")).select("r.*").write.format("delta").mode("append").save(str(folder / "rows"))
        held.unpersist()

    return _drain(rig, folder, write)


def caudal(rig: Rig, folder: Path, codec: str = "zstd") -> float:
    """Raw, decoding by id, rules, duplicates, silver, quarantine, ledger. Seconds."""
    with path(rig, folder) as batches, _compressed(rig, batches, codec):
        took = _drain(rig, folder, batches.process)
        started = time.perf_counter()
        batches.flush()
        return took + time.perf_counter() - started


def differing(rig: Rig, folder: Path) -> int:
    """Rows of a run's silver table that differ from what raw gives when it is judged anew."""
    with path(rig, folder) as batches:
        return sum(int(one["differ"]) for one in asked.compare(batches, "bench", {}))


@contextmanager
def _compressed(rig: Rig, batches: Batches, codec: str) -> Iterator[None]:
    sessions = [rig.spark, *(worker.session for worker in batches.workers.values())]
    before = rig.spark.conf.get(_CODEC)
    for one in sessions:
        one.conf.set(_CODEC, codec)
    try:
        yield
    finally:
        rig.spark.conf.set(_CODEC, before or "zstd")


@contextmanager
def path(rig: Rig, folder: Path) -> Iterator[Batches]:
    """The parts of the streaming process, put together on a lake of this run."""
    settings = rig.at(folder)
    lake, registry = Lake.open(settings), registered.SchemaRegistry(settings)
    writers = Writers(registry, jvm.compatible(rig.spark), registered.known(lake))
    ledger, alerts = Ledger(rig.spark, lake), Alerts(None, [], "")
    batches = Batches(Shop(rig.spark, lake, rig.own, writers, ledger, Metrics("bench"), alerts, SystemClock()))
    try:
        batches.open(rig.all)
        yield batches
    finally:
        batches.close()
        registry.close()


def _drain(rig: Rig, folder: Path, write: Write) -> float:
    """Read the topic from its beginning to its present end in batches; seconds from the start of the query."""
    topics = [one.contract.topic for one in rig.all]
    frame = read.stream(rig.spark, rig.settings.kafka, rig.own, topics, {})

    def one(frame: DataFrame, number: int) -> None:
        write(frame, number)
        jvm.let_go()

    jvm.settled()
    started = time.perf_counter()
    query = (
        frame.writeStream.foreachBatch(one)
        .option("checkpointLocation", f"file://{(folder / 'checkpoint').resolve()}")
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    return time.perf_counter() - started


Job = Callable[[Rig, Path], float]
"""Takes a rig and an empty folder; gives seconds."""
JOBS: dict[str, Job] = {"bare_copy": bare, "plain": plain, "caudal": caudal}
