"""What Spark throws, as coded errors. Its texts may quote data, so only the kind of failure is kept."""

from __future__ import annotations

import re

from caudal.errors import CaudalError
from streaming.errors import ContractHalted, DataLoss, QueryFailed

_DISK = re.compile("No space left on device|ENOSPC|Disk quota exceeded")
_LOST = re.compile("KAFKA_DATA_LOSS|data may have been lost|offsets? .{0,80}out of range|OffsetOutOfRange", re.I)
_CLASS = re.compile(r"\b(?:[a-z][\w$]*\.)+([A-Z]\w*(?:Exception|Error))\b")
_CONDITION = re.compile(r"^\s*(?:[\w.$]+:\s*)?\[([A-Z][A-Z0-9_.]+)\]")


def named(error: BaseException, where: str) -> CaudalError:
    """The error of one contract's slice."""
    if isinstance(error, CaudalError):
        return error
    text = str(error)
    if _DISK.search(text):
        return _disk_full(where)
    return ContractHalted(
        "a slice could not be brought to silver",
        where=where,
        why=reason(error),
        fix="its records wait in raw; it is tried again, see the log for the cause",
    )


def of_query(error: BaseException, where: str) -> CaudalError:
    """The error that ended the streaming query."""
    if isinstance(error, CaudalError):
        return error
    text = str(error)
    if _DISK.search(text):
        return _disk_full(where)
    if _LOST.search(text):
        return DataLoss(
            "Kafka no longer has records that raw has not read",
            where=where,
            why="the topic's retention passed them, or the topic was made anew",
            fix="restore the topic, or accept the gap explicitly; nothing is skipped in silence",
        )
    return QueryFailed("the streaming query ended", where=where, why=reason(error), fix="it starts again by itself")


def reason(error: BaseException) -> str:
    """Names of exception classes and Spark's error condition, without the messages."""
    text = str(error)
    conditions = [found.group(1) for line in text.splitlines()[:5] if (found := _CONDITION.match(line))]
    classes = list(dict.fromkeys(_CLASS.findall(text)))[:4]
    return ", ".join([type(error).__name__, *conditions[:2], *classes])


def _disk_full(where: str) -> CaudalError:
    return ContractHalted(
        "the disk is full", where=where, why="a write found no space", fix="free space; work goes on by itself",
        code="CDL-DISK-FULL",
    )  # fmt: skip
