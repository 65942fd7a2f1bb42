"""Positions of raw against what a broker has."""

from __future__ import annotations

from streaming.facts import RawCommit, raw_commit
from streaming.gaps import RECREATED, RETENTION, Gap, Kafka, Range, found


def test_gaps_are_told_by_offsets_and_by_ids() -> None:
    """A first offset behind raw's end is retention's; an end before it, or another id, is another topic."""
    raw = RawCommit(3, {"a": {0: 5, 1: 9}, "b": {0: 5}, "c": {0: 5}, "gone": {0: 1}}, {"a": "A", "b": "B"})
    whole = {"a": {0: Range(0, 8), 1: Range(9, 9)}, "b": {0: Range(5, 5)}, "c": {0: Range(0, 6)}}
    assert found(raw, Kafka(whole, {"a": "A", "b": "B", "c": "new"})) == []
    passed = {**whole, "a": {0: Range(7, 8), 1: Range(0, 9)}}
    assert found(raw, Kafka(passed, {"a": "A"})) == [Gap("a", 0, 5, 7, RETENTION)]
    shorter = {**whole, "c": {0: Range(0, 4)}}
    assert found(raw, Kafka(shorter, {})) == [Gap("c", 0, 5, 5, RECREATED)]
    assert found(raw, Kafka(whole, {"b": "another"})) == [Gap("b", 0, 5, 5, RECREATED)]


def test_a_commit_remembers_the_ids() -> None:
    facts = RawCommit(2, {"a": {0: 4}}, {"a": "A"})
    assert raw_commit(facts.text()) == facts
    # Commits of before know none.
    assert raw_commit('{"caudal":"raw","batch":2,"ends":{"a":{"0":4}}}') == RawCommit(2, {"a": {0: 4}})
