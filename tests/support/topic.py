"""Reading topics in tests: everything of some partitions up to their current end, in order."""

import uuid

from confluent_kafka import Consumer, Message, TopicPartition


def read(bootstrap: str, topic: str) -> list[Message]:
    """All committed records of a topic, by partition and offset."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"test-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    try:
        found = consumer.list_topics(topic, timeout=20).topics[topic]
        out: list[Message] = []
        for number in sorted(found.partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
            consumer.assign([TopicPartition(topic, number, low)])
            at = low
            while at < high:
                message = consumer.poll(20)
                assert message is not None, f"{topic}-{number} went silent at {at} of {high}"
                assert message.error() is None, message.error()
                out.append(message)
                at = message.offset() + 1
        return out
    finally:
        consumer.close()
