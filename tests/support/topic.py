"""Reading topics in tests: everything of some partitions up to their current end, in order."""

import uuid

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition


def read(bootstrap: str, topic: str) -> list[Message]:
    """All committed records of a topic, by partition and offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"test-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            # The last offset of a partition may be a transaction's marker, which is no record.
            "enable.partition.eof": True,
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=20).topics[topic]
        out: list[Message] = []
        for number in sorted(found.partitions):
            # What arrives while this reads is not waited for.
            at, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
            consumer.assign([TopicPartition(topic, number, at)])
            while at < high:
                message = consumer.poll(20)
                assert message is not None, f"{topic}-{number} went silent"
                if (error := message.error()) is not None:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    break
                if (at := int(message.offset() or 0) + 1) <= high:
                    out.append(message)
        return out
    finally:
        consumer.close()
