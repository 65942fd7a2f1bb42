"""What care decides from what commits say: what a table needs, who comes first, what of a log may go."""

from __future__ import annotations

import json

from caudal.commits import actions
from streaming.needs import OVERDUE, Costs, Need, Table, deleted_share, first, needs
from streaming.settings import StreamingSettings
from streaming.sizes import MB
from streaming.tally import File, applied
from streaming.trim import expired

OWN = StreamingSettings(care_files=4, care_small_mb=10, care_deleted=0.2, care_versions=100, care_budget_s=3.0)


def table(files: dict[str, File], *, versions: int = 1, clustered: bool = False, name: str = "t") -> Table:
    return Table("silver", name, files, versions, clustered)


def small(n: int, size: int = MB) -> dict[str, File]:
    return {f"f{i}": File(size, 10) for i in range(n)}


def test_commits_tell_what_a_table_is_made_of() -> None:
    """Adds and removes are followed, deletion vectors counted, names with escapes told apart, tags looked at."""
    files = applied({"old": File(5, 10)}, actions(b'{"commitInfo":{"timestamp":1}}\n{"remove":{"path":"old"}}\n'))
    assert files == {}
    added = {"path": "a%20b", "size": 7, "stats": json.dumps({"numRecords": 10}), "tags": {"ZCUBE_ID": "x"}}
    files = applied(files, actions(json.dumps({"add": added}).encode()))
    assert files == {"a b": File(7, 10, 0, loose=False)}
    with_vector = {**added, "deletionVector": {"cardinality": 4}}
    lines = [{"remove": {"path": "a%20b"}}, {"add": with_vector}]
    files = applied(files, actions("\n".join(json.dumps(line) for line in lines).encode()))
    assert files == {"a b": File(7, 10, 4, loose=False)}
    assert deleted_share(table(files)) == 0.4


def test_a_table_needs_what_is_over_its_limits() -> None:
    """Few files are left alone; many small ones, many deleted rows and a long log are three needs."""
    costs = Costs()
    assert needs(table(small(3)), OWN, costs) == []
    many = {**small(8), "large": File(50 * MB, 9_920, deleted=4_000)}
    found = {need.kind: need for need in needs(table(many, versions=250), OWN, costs)}
    assert {kind: round(need.gain, 2) for kind, need in found.items()} == {"compact": 2, "purge": 2, "log": 2.5}
    assert (found["compact"].mb, found["purge"].mb) == (8, 50)


def test_a_run_is_bounded_by_the_budget() -> None:
    """Of an unclustered table as much is compacted as fits, smallest first; clustering takes all that is new to it."""
    costs = Costs()
    assert costs.megabytes("compact", OWN.care_budget_s) == 40
    files = {f"f{i}": File((i + 1) * MB, 10) for i in range(9)}
    [need] = needs(table(files), OWN, costs)
    assert (need.mb, need.below) == (36, 8 * MB + 1)
    assert costs.seconds("compact", need.mb) <= OWN.care_budget_s
    [need] = needs(table(small(60)), OWN, costs)
    assert (need.mb, need.below) == (60, MB + 1)
    [need] = needs(table({**files, "new": File(30 * MB, 10)}, clustered=True), OWN, costs)
    assert need.mb == 45 + 30


def test_the_most_to_gain_comes_first_inside_the_budget() -> None:
    """Two tables compete; what would let a batch wait too long comes when nothing waits, or when it is long overdue."""
    costs = Costs()
    dear = Need(table({}, name="dear"), "compact", 5, mb=1000)
    cheap = Need(table({}, name="cheap"), "compact", 2, mb=1)
    assert first([cheap, dear], costs, 3.0, waiting=False) == dear
    assert first([cheap, dear], costs, 3.0, waiting=True) == cheap
    late = Need(table({}, name="late"), "compact", OVERDUE, mb=150)
    assert first([cheap, late], costs, 3.0, waiting=True) == late
    huge = Need(table({}, name="huge"), "compact", 10 * OVERDUE, mb=5000)
    assert first([cheap, huge], costs, 3.0, waiting=True) == cheap
    assert first([], costs, 3.0, waiting=True) is None


def test_costs_are_learned() -> None:
    """A machine that takes long for each megabyte is asked for fewer of them."""
    costs = Costs()
    before = costs.megabytes("compact", 3.0)
    costs.learn("compact", 100, 21.0)
    assert costs.megabytes("compact", 3.0) < before
    assert costs.seconds("compact", 100) > 10
    costs.learn("compact", 100, 2.0)
    assert costs.seconds("compact", 100) < 2.1


def test_a_slow_machine_does_not_keep_care_away_for_ever() -> None:
    """One run took half a minute: the next waits for a quiet moment, or until the table is long overdue."""
    costs = Costs()
    costs.learn("compact", 0, 34.0)
    due, overdue = (Need(table({}), "compact", gain, mb=1) for gain in (OVERDUE - 1, OVERDUE))
    assert first([due], costs, 3.0, waiting=True) is None
    assert first([due], costs, 3.0, waiting=False) == due
    assert first([overdue], costs, 3.0, waiting=True) == overdue
    costs.learn("compact", 1, 1.0)
    assert first([due], costs, 3.0, waiting=True) == due


def test_a_log_is_cut_at_a_checkpoint_that_is_old_enough() -> None:
    """Everything before it goes, the oldest first; what readers of the time that is kept need stays."""
    names = [f"{v:020d}.{end}" for v in range(31) for end in ("crc", "json")]
    names += [f"{v:020d}.checkpoint.parquet" for v in (10, 20, 30)] + ["_last_checkpoint"]
    asked: list[int] = []

    def made_at(version: int) -> int:
        asked.append(version)
        return version * 1000

    gone = expired(names, 25_000, made_at)
    assert set(gone) == {name for name in names if name[0] == "0" and int(name[:20]) < 20}
    assert gone == sorted(gone)
    assert set(asked) <= {10, 20, 30}
    assert expired(names, 5_000, made_at) == []
    assert expired([name for name in names if "checkpoint" not in name], 25_000, made_at) == []


def test_only_a_line_feed_ends_an_action() -> None:
    """Statistics hold texts of events as they are, with whatever else parts lines."""
    odd = {"add": {"path": "x", "size": 1, "stats": "\u2028\u0085\x0b"}}
    commit = json.dumps(odd, ensure_ascii=False).encode() + b"\n"
    assert actions(commit * 2) == [odd, odd]
