"""The streaming query itself: one trigger loop inside Spark that calls `Batches.process`. Its checkpoint is scratch."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from confluent_kafka.admin import AdminClient

from caudal.errors import CaudalError
from caudal.settings import Settings
from schemas.topics import client_conf
from streaming import failures, gaps, jvm, read
from streaming.batches import Batches
from streaming.gaps import Gap
from streaming.settings import StreamingSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery


class Query:
    """Starts at raw's end offsets, with a fresh checkpoint each time; stops between batches."""

    def __init__(self, spark: SparkSession, settings: Settings, own: StreamingSettings, batches: Batches) -> None:
        self._spark, self._settings, self._own, self._batches = spark, settings, own, batches
        self._scratch = settings.data_dir.resolve() / "scratch" / f"checkpoint-{own.query}"
        self._query: StreamingQuery | None = None
        self.gaps: list[Gap] = []
        self._there: dict[str, list[int]] = {}

    def start(self) -> bool:
        """Begin to read; false when there is no topic to read.

        A topic of which Kafka lost what raw has not read is left out: `gaps` says which. The others do not wait for it.
        """
        there = read.partitions(self._settings.kafka, self._batches.topics())
        kafka = gaps.look(AdminClient(client_conf(self._settings)), there)
        self.gaps = gaps.found(self._batches.raw, kafka)
        topics = sorted(set(there) - {gap.topic for gap in self.gaps})
        self._there = {topic: list(there[topic]) for topic in topics}
        self._batches.topic_ids = {topic: kafka.ids[topic] for topic in topics}
        self._batches.begin_again = False
        if not topics:
            return False
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._batches.closing = False
        ends, most = self._batches.raw.ends, self._batches.most_records()
        frame = read.stream(self._spark, self._settings.kafka, self._own, topics, ends, most)
        jvm.settled()
        self._query = (
            frame.writeStream.foreachBatch(self._process)
            .queryName(f"caudal-{self._own.query}")
            .option("checkpointLocation", f"file://{self._scratch / uuid.uuid4().hex}")
            .trigger(processingTime=f"{int(self._own.trigger_s * 1000)} milliseconds")
            .start()
        )
        return True

    def stop(self) -> None:
        """End the query after the batch that runs. Safe when it has ended already."""
        # Ended in the middle of a MERGE, Spark throws from deep inside: so no batch runs from here on.
        self._batches.close()
        if self._query is not None:
            self._query.stop()
            self._query = None

    def _process(self, frame: DataFrame, number: int) -> None:
        self._batches.process(frame, number)
        jvm.let_go()
        query = self._query
        if query is not None:
            jvm.limit(self._spark, query, self._batches.most_records())

    @property
    def running(self) -> bool:
        """Whether the query has been started and has not ended."""
        return self._query is not None and self._query.isActive

    def failure(self) -> CaudalError | None:
        """Why the query ended by itself, None while it runs."""
        if self._query is None or self._query.isActive:
            return None
        error = self._query.exception()
        return failures.of_query(error or RuntimeError("ended"), self._own.query)

    def partitions(self) -> dict[str, list[int]]:
        """Partitions that are read, by topic."""
        later = {topic: sorted(parts) for topic, parts in self.read_to().items()}
        return {topic: sorted({*parts, *later.get(topic, ())}) for topic, parts in self._there.items()}

    def read_to(self) -> Mapping[str, Mapping[int, int]]:
        """The end offsets that Spark last planned, by topic and partition; transaction markers count as read."""
        progress = self._query.lastProgress if self._query is not None else None
        # The object's own text form of endOffset is no JSON; the whole progress is.
        sources = json.loads(progress.json).get("sources") if progress else None
        found = sources[0].get("endOffset") if sources else None
        if not isinstance(found, dict):
            return {}
        return {topic: {int(p): int(end) for p, end in parts.items()} for topic, parts in found.items()}
