"""New runs, again and again: derived from what the stages left, written as files of events, sent on when asked to.

`_lineage/events/<time>.jsonl.gz` of the lake hold one event a line; each file is whole: the first run of every job in
it brings the shape of its tables. `_lineage/position.json` says how far everything got. The file is written before the
position, so a death in between writes the same events, with the same ids, once more. Nothing waits in memory: what a
receiver has not taken lies in the files, whose room is bounded, and what leaves them unsent is counted.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from batch import record
from batch.lineage import events, runs
from batch.lineage.events import Places
from batch.lineage.graph import Graph
from batch.lineage.runs import Run
from batch.lineage.send import Receiver, send
from caudal import log
from caudal.clock import Clock
from caudal.errors import TransientError
from caudal.lake import Lake
from quality import results

FOLDER = "_lineage/events"
POSITION = "_lineage/position.json"
FIRST_LOOK_MS = 3_600_000
"""How far back a lake that has no lineage yet is looked at; `caudal lineage export` tells what was before."""
CYCLES = 200
"""Cycles looked at in one go: an hour's."""

_log = log.get("lineage")


@dataclass(frozen=True)
class Position:
    """How far everything got. `files` are those kept, with their bytes and events, by name.

    `cycle` is the newest record seen, `open` those seen that had not ended; `commits` the newest silver version seen of
    each contract, and `newest_ms` when the newest of these was made; `sent` the newest file sent. Counts are of events
    since the lake has lineage.
    """

    since_ms: int
    cycle: str = ""
    open: tuple[str, ...] = ()
    commits: dict[str, int] = field(default_factory=dict)
    newest_ms: int = 0
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    sent: str = ""
    written: int = 0
    taken: int = 0
    refused: int = 0
    dropped: int = 0

    @property
    def waiting(self) -> int:
        """Events that were not sent yet."""
        return sum(count for name, (_, count) in self.files.items() if name > self.sent)


@dataclass(frozen=True)
class News:
    """Runs that began or ended since a position, and the position behind them."""

    runs: tuple[Run, ...]
    position: Position


class Follower:
    """One per lake: the process that owns gold has it."""

    def __init__(
        self,
        lake: Lake,
        graph: Callable[[], Graph],
        places: Places,
        clock: Clock,
        keep_bytes: int,
        receiver: Receiver | None = None,
    ) -> None:
        self._lake, self._graph, self._places, self._clock = lake, graph, places, clock
        self._keep, self._receiver = keep_bytes, receiver

    def once(self) -> Position:
        """Write down what ran since the last look, and send what waits. Returns how far everything got."""
        position = load(self._lake) or Position(self._clock.now_ms() - FIRST_LOOK_MS)
        for found in news(self._lake, self._graph, position):
            position = self._bounded(self._written(found))
            save(self._lake, position)
        return self._sent(position)

    def _written(self, found: News) -> Position:
        before = load(self._lake) or found.position
        position = replace(
            found.position,
            **{name: getattr(before, name) for name in ("files", "sent", "written", "taken", "refused", "dropped")},
        )
        listed = told(found.runs, self._graph, self._places)
        if not listed:
            return position
        name = f"{self._clock.now():%Y%m%dT%H%M%S}{self._clock.now_ms() % 1000:03d}-{position.written:012d}"
        data = gzip.compress("".join(json.dumps(one) + "\n" for one in listed).encode(), 6)
        self._lake.write_atomic(f"{FOLDER}/{name}.jsonl.gz", data)
        files = {**position.files, name: (len(data), len(listed))}
        return replace(position, files=files, written=position.written + len(listed))

    def _bounded(self, position: Position) -> Position:
        """The oldest files go while all together are too large; the newest stays."""
        files, dropped = dict(position.files), 0
        for name in sorted(files)[:-1]:
            if sum(size for size, _ in files.values()) <= self._keep:
                break
            self._lake.delete(f"{FOLDER}/{name}.jsonl.gz")
            _, count = files.pop(name)
            dropped += count if self._receiver is not None and name > position.sent else 0
        if dropped:
            _log.warning("events of lineage leave unsent: there is no more room for them", events=dropped)
        return replace(position, files=files, dropped=position.dropped + dropped)

    def _sent(self, position: Position) -> Position:
        if self._receiver is None:
            return position
        for name in sorted(name for name in position.files if name > position.sent):
            try:
                done = send(self._receiver, read(self._lake, name))
            except TransientError as error:
                _log.warning("lineage waits", **error.facts(), events=position.waiting)
                break
            position = replace(
                position, sent=name, taken=position.taken + done.taken, refused=position.refused + done.refused
            )
            save(self._lake, position)
        return position


def news(lake: Lake, graph: Callable[[], Graph], position: Position) -> Iterator[News]:
    """What ran since a position, page by page until nothing is new."""
    while (found := look(lake, graph, position)).position != position:
        yield found
        position = found.position


def look(lake: Lake, graph: Callable[[], Graph], position: Position) -> News:
    """What ran since a position; a page of it at most."""
    commits = runs.commits(lake, position.commits, position.since_ms, position.newest_ms)
    names = [name.rpartition("/")[2].removesuffix(".json") for name in lake.list(record.FOLDER)]
    fresh = [name for name in names if name > position.cycle and not name.startswith("open-")][:CYCLES]
    found: list[Run] = []
    still: list[str] = []
    records = [one for name in (*position.open, *fresh) if (one := record.load(lake, name))]
    current = graph() if records else Graph()
    for one in records:
        if one.started_ms < position.since_ms:
            continue
        name, made = one.cycle, of_cycle(lake, one, current)
        if made[0].state == "START":
            still.append(name)
        # One that goes on is told once.
        if made[0].state != "START" or name not in position.open:
            found += made
    newest = {**position.commits}
    for run in commits:
        newest[run.facts["contract"]] = int(run.key.rpartition("@")[2])
    after = replace(
        position,
        cycle=max([position.cycle, *fresh]),
        open=tuple(still),
        commits=newest,
        newest_ms=max([position.newest_ms, *(run.ended_ms for run in commits)]),
    )
    return News((*found, *commits), after)


def of_cycle(lake: Lake, one: record.Record, graph: Graph) -> tuple[Run, ...]:
    """A cycle's runs, by its record."""
    document = lake.read_bytes(f"{results.FOLDER}/{one.cycle}.json")
    made_of = {node.id: graph.stored_above(node.id) for node in graph.nodes.values() if node.layer == "gold"}
    return runs.of_cycle(one, json.loads(document) if document else None, graph.pinned, made_of)


def told(found: Iterable[Run], graph: Callable[[], Graph], places: Places) -> list[dict[str, Any]]:
    """Runs as events; the first of each job brings the shape of its tables."""
    listed: list[dict[str, Any]] = []
    seen: set[str] = set()
    ran = tuple(found)
    current = graph() if ran else Graph()
    for run in ran:
        shape = run.state == "COMPLETE" and run.job not in seen
        seen |= {run.job} if shape else set()
        listed += events.of(run, current, places, shape=shape)
    return listed


def read(lake: Lake, name: str) -> list[dict[str, Any]]:
    """The events of a file; none when it is gone."""
    data = lake.read_bytes(f"{FOLDER}/{name}.jsonl.gz")
    return [] if data is None else [json.loads(line) for line in gzip.decompress(data).splitlines()]


def load(lake: Lake) -> Position | None:
    """How far everything got; None when the lake has no lineage yet."""
    data = lake.read_bytes(POSITION)
    if data is None:
        return None
    raw = json.loads(data)
    files = {name: (size, count) for name, (size, count) in raw["files"].items()}
    return Position(**{**raw, "open": tuple(raw["open"]), "files": files})


def save(lake: Lake, position: Position) -> None:
    """Remember how far everything got."""
    lake.write_atomic(POSITION, json.dumps(asdict(position), separators=(",", ":")).encode())
