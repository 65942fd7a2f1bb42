from __future__ import annotations

import threading

from serving.api.health import Health


def broken() -> None:
    raise ConnectionError("a text that may name a host")


def test_every_dependency_is_asked() -> None:
    """A broken dependency says why by type, the others are well, and all have a time."""
    health = Health({"good": lambda: None, "bad": broken}, 1.0)
    answers = health.ask()
    health.close()
    assert answers["good"].ok
    assert (answers["bad"].ok, answers["bad"].why) == (False, "ConnectionError")
    assert all(a.ms >= 0 for a in answers.values())


def test_a_hanging_dependency_costs_one_deadline() -> None:
    """A probe that hangs is told as late and is not asked a second time while it hangs."""
    release, asked = threading.Event(), []

    def hangs() -> None:
        asked.append(1)
        release.wait(10)

    health = Health({"slow": hangs}, 0.05)
    first = health.ask()
    health._kept = None
    second = health.ask()
    release.set()
    health.close()
    assert [first["slow"].why, second["slow"].why] == ["no answer in time"] * 2
    assert len(asked) == 1


def test_an_answer_is_kept_for_a_moment() -> None:
    """Many askers cost one probe."""
    asked: list[int] = []
    health = Health({"one": lambda: asked.append(1)}, 1.0)
    assert health.ask() is health.ask()
    health.close()
    assert len(asked) == 1
