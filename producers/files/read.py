"""Files of a folder or bucket as a `connector.Source`.

The cursor holds the number of rows taken from each file, so a file that grows is read on from there, and a file that
has become shorter is an error, not a guess. Files are taken in order of name.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from caudal.clock import Clock, SystemClock
from caudal.lake import Lake
from caudal.settings import Settings
from producers.connector import Batch, Cursor, Record, Unfit
from producers.files.errors import FolderError, RowError
from producers.files.mapping import FileMapping, Row, compile_mapping

ROWS_PER_BATCH = 500
# A row that is no object, or no complete line.
_Parsed = tuple[Row | None, bytes]


class FileSource:
    """Reads what a mapping names. Addresses `s3://…` use the lake's S3 endpoint and keys."""

    def __init__(
        self, settings: Settings, mapping: FileMapping, *, clock: Clock | None = None, batch: int = ROWS_PER_BATCH
    ) -> None:
        parent, _, self._folder = mapping.folder.rstrip("/").rpartition("/")
        self._mapping, self._event, self._batch = mapping, compile_mapping(mapping), batch
        self._store = Lake.open(settings.with_(lake=settings.lake.model_copy(update={"uri": parent or "."})))
        self._clock = clock or SystemClock()

    @property
    def name(self) -> str:
        return f"files:{self._mapping.name}"

    @property
    def origin(self) -> str:
        return self.name

    def check(self) -> None:
        """Raises FolderError when there is no such folder or nothing in it matches."""
        if not self._names():
            raise FolderError(
                "no file matches",
                where=f"{self._mapping.folder}/{self._mapping.files}",
                fix="correct `from` or `files` of the mapping",
            )

    def read(self, cursor: Cursor | None) -> Iterator[Batch]:
        """Batches of rows behind the cursor, file by file."""
        taken: dict[str, int] = dict((cursor or {}).get("rows", {}))
        for name in self._names():
            data = self._store.read_bytes(name) or b""
            file = name.rpartition("/")[2]
            rows = self._rows(data)
            before = taken.get(file, 0)
            if sum(1 for _ in islice(rows, before)) < before:
                raise FolderError("a file has become shorter", where=file, fix="restore it, or give it another name")
            number = before
            while chunk := list(islice(rows, self._batch)):
                items = tuple(self._item(row, raw, f"{file}:{number + i + 1}") for i, (row, raw) in enumerate(chunk))
                number += len(chunk)
                taken[file] = number
                yield Batch(items, {"rows": dict(taken)})

    def _names(self) -> list[str]:
        found = self._store.list(self._folder)
        return [name for name in found if fnmatchcase(name.rpartition("/")[2], self._mapping.files)]

    def _rows(self, data: bytes) -> Iterator[_Parsed]:
        return self._csv(data) if self._mapping.format == "csv" else _json_lines(data)

    def _csv(self, data: bytes) -> Iterator[_Parsed]:
        text = data.decode("utf-8-sig", errors="replace")
        for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=self._mapping.delimiter):
            raw = json.dumps(row, ensure_ascii=False, default=str).encode()
            # More or fewer columns than the header has: csv puts them under None.
            yield (None if None in row or None in row.values() else row), raw

    def _item(self, row: Row | None, raw: bytes, position: str) -> Record | Unfit:
        mapping = self._mapping
        if row is None:
            return Unfit(mapping.contract, mapping.tenant, "CDL-JSON", "$", position, raw)
        try:
            event = self._event(row)
        except RowError as error:
            return Unfit(mapping.contract, mapping.tenant, error.code, error.path, position, raw)
        observed = event.get(mapping.observed) if mapping.observed else None
        observed_ms = observed if isinstance(observed, int) else self._clock.now_ms()
        return Record(mapping.contract, event, observed_ms, position, raw)


def _json_lines(data: bytes) -> Iterator[_Parsed]:
    lines = data.split(b"\n")
    last = lines.pop()
    for line in lines:
        if line.strip():
            yield _parse(line), line
    if last.strip() and (row := _parse(last)) is not None:
        # A last line without its end may still be growing; it counts once it is a whole object.
        yield row, last


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line, parse_float=Decimal)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
