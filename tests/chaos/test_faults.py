"""A hundred kills and more: at named points, at any moment, of the broker. By a seed; what happened is printed."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from streaming.verify import deep
from tests.support.fault_arena import Arena
from tests.support.fault_play import ALL, BROKEN, CHANGES, EVENTS, FIXED

pytestmark = [pytest.mark.spark, pytest.mark.kafka, pytest.mark.slow]

SEED = int(os.environ.get("CAUDAL_TEST_CHAOS_SEED") or random.randrange(10**6))
KILLS = int(os.environ.get("CAUDAL_TEST_CHAOS_KILLS") or 110)
# Seconds after which no new round begins; what was done until then counts.
LIMIT_S = float(os.environ.get("CAUDAL_TEST_CHAOS_LIMIT_S") or 6 * 3600)
# A new version of a contract comes after this share of the kills, in percent.
GROWS_AFTER = 30
DEEP_EVERY, BROKER, ANY = 10, "broker", "any moment"
# So often the next process works everything off before it is killed in turn.
RECOVERS = 0.5
# Contracts whose records reach the point.
POINTS = {
    "after-read": ALL,
    "after-raw": ALL,
    "after-quarantine": ALL,
    "mid-silver": ALL,
    "after-history": (CHANGES,),
    "after-silver": ALL,
    "mid-ledger": ALL,
    "before-checkpoint": ALL,
    "mid-care": (EVENTS,),
    "mid-rebuild": ALL,
    "mid-replay": ALL,
}
PLACES = (*POINTS, *POINTS, ANY, ANY, ANY, ANY, BROKER, BROKER)
# At "any moment" the process lives so long at most, from its start: through session, catch-up and some batches.
LIFE_S = 45.0


@pytest.fixture(scope="module")
def arena(java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    opened = Arena(tmp_path_factory.mktemp("arena"), SEED)
    yield opened
    opened.close()


@pytest.mark.timeout(0)
def test_nothing_is_lost_or_doubled(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    """After each kill verify holds, after each tenth silver made anew from raw is the same; in the end everything is
    what the reference says."""

    def say(line: str) -> None:
        with capsys.disabled():
            print(f"chaos: {line}", flush=True)

    say(f"seed {SEED}, {KILLS} kills; again: make chaos SEED={SEED} KILLS={KILLS}")
    began, order = time.monotonic(), list(PLACES)
    arena.chance.shuffle(order)
    arena.send(20)
    while (done := sum(arena.kills.values())) < KILLS and time.monotonic() - began < LIMIT_S:
        started, place = time.monotonic(), order[done % len(order)]
        if done == GROWS_AFTER * KILLS // 100:
            arena.grow()
            say("a version with another field was released")
        what = _kill(arena, place)
        # What a process left that died may be found by another one that dies, too.
        recovers = (done + 1) % DEEP_EVERY == 0 or arena.chance.random() < RECOVERS
        if recovers:
            arena.start()
            arena.settled()
        assert _holds(arena), (SEED, place)
        line = f"{what}; {len(arena.sent)} records{', worked off' if recovers else ''}; verify holds"
        if (done + 1) % DEEP_EVERY == 0:
            found = deep(arena.settings, 600)
            assert (found.ok, found.findings) == (True, ()), (SEED, place)
            assert arena.differences() == [], (SEED, place)
            line += "; raw gives the same, so does the reference"
        say(f"{done + 1} of {KILLS}: {line}; {time.monotonic() - started:.0f} s")
    arena.start()
    arena.settled()
    arena.stop()
    assert _holds(arena), SEED
    assert arena.differences() == [], SEED
    say(f"seed {SEED}: {sum(arena.kills.values())} kills in {time.monotonic() - began:.0f} s, everything as it must be")
    for place, n in sorted(arena.kills.items()):
        say(f"  {place}: {n}")


def _holds(arena: Arena) -> bool:
    """What `caudal verify` says of invariants 1 and 7, on a lake whose process is dead or alive."""
    found = [(check.name, check.findings) for check in arena.verified() if not check.ok]
    assert found == []
    return True


def _kill(arena: Arena, place: str) -> str:
    """One kill with work pending; what was done."""
    chance = arena.chance
    if place == BROKER:
        return _broker(arena)
    if place == ANY:
        return _any_moment(arena)
    among = POINTS[place]
    first = chance.choice(among)
    contracts = tuple(dict.fromkeys((first, *(name for name in among if chance.random() < 0.3))))
    asked = place in ("mid-rebuild", "mid-replay")
    nth = 1 if asked or place == "mid-care" else chance.choice((1, 1, 2, 3))
    early = not asked and chance.random() < 0.5
    if early:
        # Armed before it starts: it may die while it catches up.
        arena.send(chance.randrange(1, 30), contracts)
        arena.ensure_stopped()
        arena.start(f"{place}:{nth}")
    else:
        if place == "mid-replay":
            arena.send_broken(first)
        arena.start()
        arena.settled()
        arena.arm(place, nth)
    if place == "mid-rebuild":
        arena.ask("rebuild", {"contract": first})
    if place == "mid-replay":
        fixes = [{"set": "a", "value": FIXED}]
        arena.ask("replay", {"contract": first, "by": "tests", "where": {"code": BROKEN}, "fixes": fixes})
    arena.send(chance.randrange(3, 40), contracts)
    arena.until_dead(place, more=() if asked else contracts)
    arena.send(chance.randrange(1, 20), contracts)
    arena.arrived()
    return f"{place}, pass {nth}{', from its start' if early else ''}, {', '.join(contracts)}"


def _any_moment(arena: Arena) -> str:
    """Killed after a random time, from its start on or at work, while records keep coming."""
    fresh = arena.chance.random() < 0.6
    if fresh:
        arena.ensure_stopped()
    arena.start()
    if not fresh:
        arena.settled()
    lives = arena.chance.uniform(0.5, LIFE_S if fresh else LIFE_S / 6)
    until = time.monotonic() + lives
    while time.monotonic() < until:
        arena.send(2, (arena.chance.choice(ALL),))
        # The moment is what is tried here, so time decides and no condition.
        time.sleep(min(2.0, lives / 4))
    arena.kill()
    arena.arrived()
    return f"any moment, {lives:.1f} s {'after its start' if fresh else 'at work'}"


def _broker(arena: Arena) -> str:
    """The broker is killed while records come and are read; the process lives on."""
    arena.start()
    arena.settled()
    arena.send(arena.chance.randrange(5, 30))
    arena.kill_broker()
    arena.send(arena.chance.randrange(5, 30))
    arena.settled()
    return "broker"
