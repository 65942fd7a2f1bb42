"""What Kafka lost before raw had read it: detected, not read past in silence, and accepted with a name to it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from caudal.settings import Settings
from schemas import topics
from schemas.distribution import Released
from streaming import kafka_recount
from streaming.query import Query
from streaming.recover import Recovery
from streaming.settings import StreamingSettings
from tests.support import contracts
from tests.support.stream_bench import Bench
from tests.support.stream_process import send

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.kafka]


def until(condition: Callable[[], bool], deadline_s: float = 90) -> None:
    limit = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < limit, "it did not come about in time"
        time.sleep(0.1)


def test_lost_offsets_and_a_topic_made_anew_are_accepted_by_name(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    """Both are seen before anything is read; once accepted, what Kafka has now lands once, and verify holds."""
    contract = contracts.make(tmp_path, (), id=f"gaps{uuid.uuid4().hex[:8]}.thing")
    one = Released(contract, {1: 50_002})
    topics.ensure(settings, contract.topic, 1, {})
    admin = AdminClient(topics.client_conf(settings))
    bench = Bench(spark, settings, [one])

    def started() -> Query:
        query = Query(spark, settings, StreamingSettings(trigger_s=0.2), bench.batches)
        query.start()
        return query

    def read_up_to(records: int) -> None:
        query = started()
        assert query.gaps == []
        until(lambda: len(bench.rows("raw", "events", "topic")) == records)
        query.stop()
        bench.restart()

    def accepted(why: str) -> dict[str, object]:
        query = started()
        assert [(gap.why, query.running) for gap in query.gaps] == [(why, False)]
        recovery = Recovery(settings, bench.batches._shop, bench.batches)
        [gap] = recovery.run("look", {})["gaps"]
        assert gap["why"] == why
        done = recovery.run(f"accept-{why}", {"accept": True, "by": "ops"})
        assert done["gaps"] == []
        assert bench.batches.begin_again
        assert recovery.run("look", {})["gaps"] == []
        found: dict[str, object] = done
        return found

    send(settings, one, range(5))
    read_up_to(5)
    # Retention passes records 5 to 8.
    send(settings, one, range(5, 9))
    [future] = admin.delete_records([TopicPartition(contract.topic, 0, 9)]).values()
    future.result(30)
    send(settings, one, range(9, 11))
    accepted("retention")
    read_up_to(7)

    # The topic is made anew, with fewer records than raw knows of it, and then some.
    admin.delete_topics([contract.topic])[contract.topic].result(30)
    until(lambda: contract.topic not in admin.list_topics(timeout=10).topics)
    topics.ensure(settings, contract.topic, 1, {})
    send(settings, one, range(20, 23))
    assert accepted("recreated")["written_again"] == 3
    read_up_to(10)

    bench.batches.flush()
    assert sorted(row["event_id"] for row in bench.silver(contract.id, "event_id")) == sorted(
        f"e{i}" for i in (0, 1, 2, 3, 4, 9, 10, 20, 21, 22)
    )
    assert bench.findings() == []
    assert kafka_recount.compare(settings, bench.lake)[0].findings == []
    kept = bench.rows("ops", "gaps", '"first", why, by', "1")
    assert [(row["first"], row["why"], row["by"]) for row in kept] == [
        (5, "retention", "ops"),
        (11, "recreated", "ops"),
    ]
