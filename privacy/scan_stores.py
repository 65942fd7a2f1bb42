"""Every place a personal value could lie after the producer, read as what it really holds: decoded, newest first."""

import io
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from caudal.lake import Lake, S3Lake
from caudal.settings import Settings
from privacy.scan_parquet import decoded

# Read in another way: the broker's log through the broker, the lake (on disk or on our own S3 server) through its
# tables. The vault is the one place that may know.
SKIPPED = ("vault", "kafka", "lake", "s3")
_SEPARATOR = b"\n\x00\n"
_JOIN_BYTES = 8 << 20  # records are searched in joined pieces of this size


@dataclass(frozen=True)
class Piece:
    """Some bytes of a store and where they come from. `text` files are also searched for CPFs of unknown people."""

    place: str
    data: bytes
    binary: bool = False
    text: bool = False
    units: int = 1


@dataclass
class Budget:
    """What a store may cost: bytes, and a moment (monotonic seconds) at which all ends."""

    bytes: int
    until: float
    cut: bool = False

    def take(self, size: int) -> bool:
        """Whether `size` more bytes may be read."""
        if size > self.bytes or time.monotonic() > self.until:
            self.cut = True
            return False
        self.bytes -= size
        return True


@dataclass(frozen=True)
class Store:
    """One kind of place. `read` yields its pieces within the budget; it raises Away when it cannot be reached."""

    name: str
    read: Callable[[Budget], Iterator[Piece]]


class Away(Exception):
    """The store cannot be reached now."""


def stores(settings: Settings, lake: Lake) -> list[Store]:
    """Every store of an install."""
    return [
        Store("files", lambda budget: files(settings, budget)),
        Store("lake", lambda budget: tables(lake, budget)),
        Store("topics", lambda budget: topics(settings, budget)),
        Store("redis", lambda budget: redis(settings, budget)),
    ]


def files(settings: Settings, budget: Budget) -> Iterator[Piece]:
    """Logs, run files, checkpoints and all else in the data folder, raw."""
    root = settings.data_dir.resolve()
    lake = settings.lake_uri
    own = None if "://" in lake else Path(lake).resolve()
    found = (path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] not in SKIPPED)
    chosen = _newest(path for path in found if own is None or own not in path.parents)
    # Logs and run files first: people and tools read them, and they are small.
    for path, size in sorted(chosen, key=lambda entry: entry[0].relative_to(root).parts[0] not in _READ_BY_PEOPLE):
        # Of a file that is larger than what is left, the end: what was written last.
        size = min(size, budget.bytes)
        if not budget.take(size) or (size == 0 and budget.bytes == 0):
            budget.cut = True
            return
        name, data = str(path.relative_to(root)), _tail(path, size)
        if path.suffix == ".parquet":
            yield from _parquet(name, data, budget)
        read_by_people = path.relative_to(root).parts[0] in _READ_BY_PEOPLE
        yield Piece(name, data, binary=path.suffix not in _TEXT, text=read_by_people)


_READ_BY_PEOPLE = ("logs", "run")
_TEXT = frozenset((".log", ".json", ".jsonl", ".txt", ".csv", ".yml", ".yaml", ".sql", ".toml", ".html", ".crc"))


def tables(lake: Lake, budget: Budget) -> Iterator[Piece]:
    """Every file of the lake, live or not: Parquet decoded and raw (footers hold statistics), compressed files
    unpacked, logs and the rest raw."""
    for name, size, read in _lake_files(lake):
        if not budget.take(size):
            return
        data = read()
        if name.endswith(".parquet"):
            yield from _parquet(name, data, budget)
        elif name.endswith(".gz"):
            yield Piece(f"{name} unpacked", _unpacked(data, budget), units=0)
        yield Piece(name, data, binary=not name.endswith(".json"))


def topics(settings: Settings, budget: Budget) -> Iterator[Piece]:
    """Keys, values and headers of every topic but `in.*` and the broker's own, newest records first per partition."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    if not any(_listens(address) for address in settings.kafka.bootstrap.split(",")):
        raise Away("the broker does not answer")
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap,
            **settings.kafka.security,
            "group.id": "caudal.verify.scan",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        try:
            known = consumer.list_topics(timeout=5).topics
        except KafkaException:
            raise Away("the broker does not answer") from None
        parts = [
            TopicPartition(topic, number)
            for topic, found in sorted(known.items())
            if not topic.startswith(("in.", "__"))
            for number in found.partitions
        ]
        share = budget.bytes // max(1, len(parts))
        ends = {}
        for part in parts:
            low, high = consumer.get_watermark_offsets(part, timeout=5)
            # Sealed records are about a kilobyte: from here on the share reaches to the end, so the newest are read.
            part.offset = max(low, high - max(100, share // 1000))
            if part.offset < high:
                ends[part.topic, part.partition] = high
        consumer.assign([part for part in parts if (part.topic, part.partition) in ends])
        yield from _records(consumer, ends, budget, share)
    finally:
        consumer.close()


def redis(settings: Settings, budget: Budget) -> Iterator[Piece]:
    """Names and values of every key."""
    from redis import Redis
    from redis.exceptions import RedisError

    client: Any = Redis.from_url(settings.redis.url.get_secret_value(), socket_timeout=3)
    readers: dict[bytes, Callable[[Any, bytes], object]] = {
        b"string": lambda pipe, key: pipe.get(key),
        b"hash": lambda pipe, key: pipe.hgetall(key),
        b"list": lambda pipe, key: pipe.lrange(key, 0, -1),
        b"set": lambda pipe, key: pipe.smembers(key),
        b"zset": lambda pipe, key: pipe.zrange(key, 0, -1),
    }
    try:
        keys: list[bytes] = []
        for key in client.scan_iter(count=1000):
            keys.append(key)
            if len(keys) == 500:
                yield from _redis_piece(client, readers, keys, budget)
                keys = []
        yield from _redis_piece(client, readers, keys, budget)
    except RedisError:
        raise Away("Redis does not answer") from None
    finally:
        client.close()


def _parquet(name: str, data: bytes, budget: Budget) -> Iterator[Piece]:
    for column, values in decoded(data):
        if not budget.take(len(values)):
            return
        yield Piece(f"{name} column {column}", values, units=0)


def _unpacked(data: bytes, budget: Budget) -> bytes:
    """What a gzip file holds, as far as the budget goes; nothing when it is none."""
    if not budget.take(1):
        return b""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        # One byte is always left: a limit of 0 would be none.
        found = unpacking.decompress(data, budget.bytes + 1)
    except zlib.error:
        return b""
    budget.take(min(len(found), budget.bytes))
    budget.cut = budget.cut or bool(unpacking.unconsumed_tail)
    return found


@dataclass
class _Joined:
    """Small records put together, so that one search serves many."""

    place: str
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    units: int = 0

    def add(self, *parts: bytes) -> None:
        self.parts += parts
        self.size += sum(map(len, parts))
        self.units += 1

    def piece(self) -> Piece:
        return Piece(self.place, _SEPARATOR.join(self.parts), binary=True, units=self.units)


def _listens(address: str) -> bool:
    """Whether anybody takes a connection; the client itself would try again until its time is up."""
    host, _, port = address.strip().rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=1):
            return True
    except (OSError, ValueError):
        return False


def _records(consumer: Any, ends: dict[tuple[str, int], int], budget: Budget, share: int) -> Iterator[Piece]:
    """Records up to `ends`, joined by partition; each partition may cost `share` bytes."""
    joined = {part: _Joined(f"{part[0]}-{part[1]}") for part in ends}
    spent = dict.fromkeys(ends, 0)
    silence = 0
    while ends and silence < 25:  # 5 s without a record or an end of partition: the broker went away
        batch = consumer.consume(5000, timeout=0.2)
        silence = 0 if batch else silence + 1
        for message in batch:
            part = (message.topic(), message.partition())
            if part not in ends:
                continue
            if message.error() is not None:  # the end of a partition whose last records were aborted
                del ends[part]
                continue
            headers = [value for _, value in message.headers() or () if value]
            parts = [data for data in (message.key(), message.value(), *headers) if data]
            size = sum(map(len, parts))
            spent[part] += size
            if spent[part] > share or not budget.take(size):
                budget.cut = True
                del ends[part]
                continue
            joined[part].add(*parts)
            if message.offset() + 1 >= ends[part]:
                del ends[part]
        for part, records in joined.items():
            if records.size > _JOIN_BYTES:
                yield records.piece()
                joined[part] = _Joined(records.place)
    yield from (records.piece() for records in joined.values() if records.units)


def _redis_piece(client: Any, readers: dict[bytes, Any], keys: list[bytes], budget: Budget) -> Iterator[Piece]:
    if not keys:
        return
    pipe = client.pipeline(transaction=False)
    for key in keys:
        pipe.type(key)
    known = [(key, readers[kind]) for key, kind in zip(keys, pipe.execute(), strict=True) if kind in readers]
    for key, read in known:
        read(pipe, key)
    # A key may change its type in between; its name is searched all the same.
    values = pipe.execute(raise_on_error=False)
    joined = _Joined("keys")
    for (key, _), value in zip(known, values, strict=True):
        parts = [key, *_flat(value)]
        if budget.take(sum(map(len, parts))):
            joined.add(*parts)
    yield joined.piece()


def _flat(value: object) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    return [part for part in value if isinstance(part, bytes)] if isinstance(value, list | set) else []


def _newest(paths: Iterator[Path]) -> list[tuple[Path, int]]:
    found = []
    for path in paths:
        try:
            stat = path.stat()
        except OSError:
            continue  # gone meanwhile
        found.append((stat.st_mtime, path, stat.st_size))
    return [(path, size) for _, path, size in sorted(found, reverse=True)]


def _tail(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(0, io.SEEK_END)
            file.seek(max(0, file.tell() - size))
            return file.read(size)
    except OSError:
        return b""


def _lake_files(lake: Lake) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """(name, size, read) of every file under the lake's root, newest first."""
    if isinstance(lake, S3Lake):
        bucket, _, prefix = lake.uri.removeprefix("s3://").partition("/")
        client = lake.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        objects = [item for page in pages for item in page.get("Contents", [])]
        for item in sorted(objects, key=lambda item: item["LastModified"], reverse=True):
            yield item["Key"], item["Size"], partial(_object, client, bucket, item["Key"])
    else:
        root = Path(lake.uri)
        for path, size in _newest(path for path in root.rglob("*") if path.is_file()):
            yield str(path.relative_to(root)), size, partial(_tail, path, size)


def _object(client: Any, bucket: str, key: str) -> bytes:
    body: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return body
