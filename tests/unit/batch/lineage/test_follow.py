"""The follower writes each run once, in order, within its room, and loses nothing that a receiver has not taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from batch.lineage import follow
from batch.lineage.app import following
from batch.lineage.errors import ReceiverAway
from batch.lineage.events import Places
from batch.lineage.follow import Follower
from caudal.clock import SystemClock
from caudal.lake import Lake, LocalLake
from caudal.settings import Settings
from schemas.manifest import Group, publish
from tests.support import lineage_lake
from tests.support.lineage_lake import graph

PLACES = Places("/lake", "broker:9092")
ROOM = 1 << 20


class Inbox:
    """A receiver that takes events while it is `up` and refuses those of jobs that it does not like."""

    def __init__(self) -> None:
        self.taken: list[Mapping[str, Any]] = []
        self.up, self.dislikes = True, ""

    def post(self, event: Mapping[str, Any]) -> bool:
        if not self.up:
            raise ReceiverAway("away")
        if event["job"]["name"] == self.dislikes:
            return False
        self.taken.append(event)
        return True


def follower(lake: Lake, receiver: Inbox | None = None, room: int = ROOM) -> Follower:
    # From the very beginning, so that the test's own times do not matter.
    if follow.load(lake) is None:
        follow.save(lake, follow.Position(0))
    return Follower(lake, graph, PLACES, SystemClock(), room, receiver)


def written(lake: Lake) -> list[tuple[str, str]]:
    """Job and type of all events kept, in order."""
    position = follow.load(lake)
    assert position is not None
    events = [event for name in sorted(position.files) for event in follow.read(lake, name)]
    return [(event["job"]["name"], event["eventType"]) for event in events]


def test_each_run_is_written_once(tmp_path: Path) -> None:
    """A second look writes what is new, whoever looks; without news it writes nothing."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.commit(lake, "commerce.order", 1, read=3, applied=3)
    follower(lake).once()
    lineage_lake.commit(lake, "commerce.order", 2, read=3, applied=3)
    lineage_lake.commit(lake, "product.event", 1, read=3, applied=3)
    follower(lake).once()
    before = follow.load(lake)
    assert follower(lake).once() == before
    orders, events = [[(f"streaming.{name}", kind) for kind in ("START", "COMPLETE")] for name in
                      ("commerce.order", "product.event")]  # fmt: skip
    assert written(lake) == [*orders, *orders, *events]


def test_a_cycle_that_goes_on_is_told_twice(tmp_path: Path) -> None:
    """First that it began, then how it ended, as one run; in between nothing."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.cycle(lake, "20260921T120000000-live", "open", ended_ms=0)
    one = follower(lake)
    one.once()
    one.once()
    assert written(lake) == [("cycle.live", "START")]
    lineage_lake.cycle(lake, "20260921T120000000-live")
    one.once()
    assert written(lake)[-1] == ("cycle.live", "COMPLETE")
    position = follow.load(lake)
    assert position is not None
    ids = {event["run"]["runId"] for name in position.files for event in follow.read(lake, name)}
    assert len(ids) == 1


def test_a_commit_that_a_restore_undid_is_not_told(tmp_path: Path) -> None:
    """The ledger takes its lines back, and lineage follows the ledger."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.commit(lake, "commerce.order", 1, read=3, applied=3)
    lineage_lake.commit(lake, "commerce.order", 1, read=-3, applied=-3)
    follower(lake).once()
    assert written(lake) == []


def test_a_death_between_file_and_position_repeats_the_same_events(tmp_path: Path) -> None:
    """At least once, and each repetition has the id of the first."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.commit(lake, "commerce.order", 1, read=3, applied=3)
    before = follow.Position(0)
    first = follower(lake).once()
    follow.save(lake, before)
    again = follower(lake).once()
    told = [[event for name in done.files for event in follow.read(lake, name)] for done in (first, again)]
    assert len(told[0]) == 2
    assert told[0] == told[1]


def test_a_receiver_that_was_away_gets_everything_in_order(tmp_path: Path) -> None:
    """Events wait in their files; what the receiver refuses for good is counted and holds nothing up."""
    lake, inbox = LocalLake(str(tmp_path)), Inbox()
    inbox.up, inbox.dislikes = False, "streaming.product.event"
    one = follower(lake, inbox)
    lineage_lake.commit(lake, "commerce.order", 1, read=3, applied=3)
    assert one.once().waiting == 2
    lineage_lake.commit(lake, "product.event", 1, read=3, applied=3)
    lineage_lake.commit(lake, "fraud.label", 1, read=3, applied=3)
    assert one.once().waiting == 6
    inbox.up = True
    done = one.once()
    assert (done.waiting, done.taken, done.refused, done.dropped) == (0, 4, 2, 0)
    jobs = [event["job"]["name"] for event in inbox.taken]
    assert jobs == ["streaming.commerce.order"] * 2 + ["streaming.fraud.label"] * 2


def test_room_is_bounded_and_what_leaves_unsent_is_counted(tmp_path: Path) -> None:
    """The oldest files go first; nothing leaves unsent without being counted."""
    lake, inbox = LocalLake(str(tmp_path)), Inbox()
    inbox.up = False
    for version in (1, 2, 3):
        lineage_lake.commit(lake, "commerce.order", version, read=3, applied=3)
        done = follower(lake, inbox, room=1).once()
    assert (len(done.files), done.written, done.waiting, done.dropped) == (1, 6, 2, 4)
    assert len(lake.list(follow.FOLDER)) == 1
    # Without a receiver nobody misses them.
    quiet = LocalLake(str(tmp_path / "quiet"))
    for version in (1, 2):
        lineage_lake.commit(quiet, "commerce.order", version, read=3, applied=3)
        done = follower(quiet, room=1).once()
    assert (done.dropped, len(done.files)) == (0, 1)


def test_many_commits_are_told_page_by_page(tmp_path: Path, monkeypatch: Any) -> None:
    """A backlog is worked off in one look, however many pages it has, and no commit is told twice."""
    lake = LocalLake(str(tmp_path))
    for version in range(1, 8):
        lineage_lake.commit(lake, "commerce.order", version, lineage_lake.NOW_MS + version, read=1, applied=1)
    pages = follow.runs.commits
    monkeypatch.setattr(follow.runs, "commits", lambda *given: pages(*given, limit=3))
    done = follower(lake).once()
    assert (done.written, done.commits) == (14, {"commerce.order": 7})
    assert len(done.files) == 3
    assert replace(done, since_ms=0) == follow.load(lake)


def test_a_contract_that_comes_late_is_told_too(tmp_path: Path) -> None:
    """A contract whose commits reach the ledger after newer ones of others is not passed over."""
    lake = LocalLake(str(tmp_path))
    lineage_lake.commit(lake, "commerce.order", 9, lineage_lake.NOW_MS, read=1, applied=1)
    follower(lake).once()
    lineage_lake.commit(lake, "product.event", 1, lineage_lake.NOW_MS - 3_600_000, read=1, applied=1)
    assert follower(lake).once().commits == {"commerce.order": 9, "product.event": 1}


def test_the_thread_follows_while_the_process_runs(tmp_path: Path) -> None:
    """Beside the batch process new runs are written without anybody asking, and trouble ends neither of the two."""
    settings = Settings.model_validate({"data_dir": tmp_path, "lineage": {"every_s": 0.02}})
    lake = LocalLake(settings.lake_uri)
    lake.write_atomic(follow.POSITION, b"no position")
    with following(settings):
        lineage_lake.commit(lake, "commerce.order", 1, SystemClock().now_ms(), read=1, applied=1)
        lake.delete(follow.POSITION)
        until(lambda: (found := follow.load(lake)) is not None and found.written == 2)
    assert written(lake) == [("streaming.commerce.order", "START"), ("streaming.commerce.order", "COMPLETE")]


def test_the_catalogue_is_made_when_something_was_published(tmp_path: Path) -> None:
    """Where the dashboard looks for it."""
    settings = Settings.model_validate({"data_dir": tmp_path, "lineage": {"every_s": 0.02}})
    index = tmp_path / "reports" / "catalogue" / "index.html"
    with following(settings):
        publish(LocalLake(settings.lake_uri), "live", Group("20260301T100000000-live", lineage_lake.NOW_MS))
        until(index.exists)
    assert "gold.fct_orders" in index.read_text()


def test_lineage_can_be_switched_off(tmp_path: Path) -> None:
    """Switched off, nothing is looked at and nothing runs beside the batch process."""
    settings = Settings.model_validate({"data_dir": tmp_path, "lineage": {"enabled": False, "every_s": 0.001}})
    with following(settings):
        assert not any(thread.name == "lineage" for thread in threading.enumerate())


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, a minute at most: making the graph takes seconds on a busy machine."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
