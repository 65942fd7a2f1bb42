"""The streaming process is killed at each named point, JVM and all; the next one goes on, and verify holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from streaming import positions
from tests.support.fault_arena import Arena
from tests.support.fault_play import ALL, BROKEN, CHANGES, EVENTS, FIXED, STATES
from tests.support.stream_process import told

pytestmark = [pytest.mark.spark, pytest.mark.kafka]
REPLAY = {"contract": CHANGES, "by": "tests", "where": {"code": BROKEN}, "fixes": [{"set": "a", "value": FIXED}]}
COMMANDS = {"mid-rebuild": ("rebuild", {"contract": CHANGES}), "mid-replay": ("replay", REPLAY)}
# Each point with the contracts whose records come to it; an append is a fraction of a change's work.
POINTS = {
    # First, since its process is one of its own: where table care is eager, everything else is slow.
    "mid-care": (EVENTS,),
    "after-read": (EVENTS,),
    "after-raw": (EVENTS,),
    "after-quarantine": (EVENTS,),
    "mid-silver": (EVENTS,),
    "after-history": (CHANGES,),
    "after-silver": (STATES,),
    "mid-ledger": (EVENTS,),
    "before-checkpoint": (EVENTS,),
    "mid-rebuild": (CHANGES,),
    "mid-replay": (CHANGES,),
}


@pytest.fixture(scope="module")
def arena(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    opened = Arena(tmp_path_factory.mktemp("arena"), seed=1)
    yield opened
    opened.close()


@dataclass(frozen=True)
class Seen:
    """What the tables say: raw's last batch, what silver of one contract covers, commits that the ledger's table does
    not know, dead letters."""

    raw: int
    covered: int
    unflushed: int
    letters: int


def seen(arena: Arena, name: str) -> Seen:
    flushed = positions.flushed_versions(arena.lake)
    at = positions.silver_position(arena.lake, arena.released[name].contract.table, flushed.get(name, -1))
    raw = positions.raw_position(arena.lake).batch
    return Seen(raw, at.covered, len(at.unflushed), arena.count("quarantine", "dead_letters"))


# What only a death at this very point leaves behind.
LEFT: dict[str, Callable[[Seen, Seen], bool]] = {
    "after-read": lambda before, after: after.raw == before.raw,
    "after-raw": lambda before, after: before.raw < after.raw > after.covered,
    "after-quarantine": lambda before, after: after.letters > before.letters and after.covered < after.raw,
    "mid-silver": lambda before, after: before.raw < after.raw > after.covered,
    "after-history": lambda before, after: before.raw < after.raw > after.covered,
    "after-silver": lambda before, after: after.covered == after.raw > before.raw and after.unflushed > 0,
    "mid-ledger": lambda before, after: after.covered > before.covered and after.unflushed > 0,
    "before-checkpoint": lambda before, after: after.covered == after.raw > before.raw,
}


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_loses_and_doubles_nothing(arena: Arena, point: str) -> None:
    """Dies at the point with work pending, as marker and tables show; the next process finishes it exactly once."""
    if not arena.sent:
        # The cheapest kind first: what a point needs besides comes with it.
        arena.send(15, (EVENTS,))
    if point == "mid-care":
        arena.ensure_stopped()
    arena.start(care="eager" if point == "mid-care" else "none")
    if point == "mid-replay":
        arena.send_broken(CHANGES)
    arena.settled()
    before = seen(arena, POINTS[point][0])
    arena.arm(point)
    if point in COMMANDS:
        arena.ask(*COMMANDS[point])
    arena.send_broken(POINTS[point][0])
    arena.send(25, POINTS[point])
    arena.until_dead(point, more=POINTS[point] if point == "mid-care" else ())
    after = seen(arena, POINTS[point][0])
    assert LEFT.get(point, lambda *_: True)(before, after), (before, after)
    if point == "mid-replay":
        # Healed, and nobody has said so: what the next start finishes is no finding.
        assert [check.findings for check in arena.verified() if not check.ok] == []
    arena.send(10, POINTS[point])
    arena.arrived()
    assert arena.read() < len(arena.sent)

    arena.start(care="none")
    arena.settled()
    assert [(check.ok, check.findings) for check in arena.verified()] == [(True, ())] * 2
    assert arena.differences() == []


@pytest.mark.timeout(1500)
def test_a_killed_broker_loses_and_doubles_nothing(arena: Arena) -> None:
    """Streaming lives on, finds the broker again, and goes on where raw stands."""
    arena.start(care="none")
    arena.send(10)
    arena.settled()
    arena.send(10, (EVENTS,))
    arena.kill_broker()
    arena.send(10)
    arena.settled()
    # Kafka's own tools see where raw stands.
    topic = arena.released[EVENTS].contract.topic
    sent = sum(place[0] == topic for place in arena.sent)
    arena.until(lambda: sum(told(arena.settings, topic).values()) == sent, "the offsets told")
    arena.stop()
    assert [(check.ok, check.findings) for check in arena.verified()] == [(True, ())] * 2
    assert arena.differences() == []
    assert all(arena.count("silver", arena.released[name].contract.table) for name in ALL)
