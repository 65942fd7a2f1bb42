"""Positions from the tables alone, what Kafka lacks of them, and the audited way on.

Spark's checkpoint is scratch: every start reads raw's own commits, so there is nothing to restore but the answer to a
question: what of Kafka is gone that raw has not read? Topics of which something is gone are not read until somebody
accepts that; who did, and what, is kept in `ops/gaps` and in the raw commit that moves the positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from confluent_kafka.admin import AdminClient

from caudal.settings import Settings
from schemas.topics import client_conf
from streaming import advance, gaps, raw, read, tables
from streaming.batches import Batches
from streaming.commit import Txn, append
from streaming.gaps import Gap, Kafka
from streaming.worker import Shop


class Recovery:
    """The work of the command `recover`; changes nothing without `accept`."""

    def __init__(self, settings: Settings, shop: Shop, batches: Batches) -> None:
        self._settings, self._shop, self._batches = settings, shop, batches

    def run(self, identity: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """{batch, positions: [{topic, partition, raw, low, high}], gaps, accepted, written_again}.

        Arguments: accept (take every gap for good), by.
        """
        with self._batches.lock:
            kafka = self._kafka()
            now = self._batches.raw
            found = gaps.found(now, kafka)
            again = 0
            if found and arguments.get("accept"):
                again = self._accept(identity, str(arguments.get("by") or ""), found, kafka)
            accepted = found if arguments.get("accept") else []
        positions = [
            {"topic": topic, "partition": p, "raw": end, **_range(kafka, topic, p)}
            for topic, ends in sorted(now.ends.items())
            for p, end in sorted(ends.items())
        ]
        return {
            "batch": now.batch,
            "positions": positions,
            "gaps": [gap.plain() for gap in found if gap not in accepted],
            "accepted": [gap.plain() for gap in accepted],
            "written_again": again,
        }

    def _accept(self, identity: str, by: str, found: list[Gap], kafka: Kafka) -> int:
        shop, before = self._shop, self._batches.raw
        again = 0
        for gap in found:
            there = kafka.ranges[gap.topic].get(gap.partition)
            if gap.why == gaps.RECREATED and there is not None:
                again += advance.behind(self._settings, gap.topic, gap.partition, gap.end, there)
        rows = [(g.topic, g.partition, g.first, g.end, g.why, by, shop.clock.now()) for g in found]
        kinds = ", ".join(f"{column.name} {column.spark_type}" for column in tables.GAPS_COLUMNS)
        path = shop.lake.spark_table(*tables.GAPS)
        append(shop.spark.createDataFrame(rows, kinds), path, Txn(f"{shop.own.query}/gaps/{identity}", 1))
        ends = {topic: dict(parts) for topic, parts in before.ends.items()}
        for gap in found:
            ends[gap.topic][gap.partition] = gap.end
        facts = replace(before, ends=ends, ids={**before.ids, **kafka.ids})
        # An empty commit: the positions move, no record comes.
        events = shop.lake.spark_table(*tables.RAW)
        nothing = shop.spark.read.format("delta").load(events).limit(0)
        raw.append_facts(nothing, events, Txn(f"{shop.own.query}/raw/gaps/{identity}", 1), facts)
        self._batches.moved(facts)
        return again

    def _kafka(self) -> Kafka:
        there = read.partitions(self._settings.kafka, self._batches.topics())
        return gaps.look(AdminClient(client_conf(self._settings)), there)


def _range(kafka: Kafka, topic: str, partition: int) -> dict[str, int | None]:
    there = kafka.ranges.get(topic, {}).get(partition)
    return {"low": there.low if there else None, "high": there.high if there else None}
