from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.api.cursor import Cursors, Place, binding
from serving.api.errors import BadQuery

BOUND = binding("acme", [("order", "n")])
PLACE = Place("fct_orders", "gold/fct_orders", 7, 1_000, 100, BOUND, 500.0)


def test_a_cursor_comes_back_whole() -> None:
    """What was written is read again, before it expires."""
    cursors = Cursors("key")
    assert cursors.read(cursors.write(PLACE), mart="fct_orders", bound=BOUND, now=499.0) == PLACE


@pytest.mark.parametrize(
    ("mart", "bound", "now"),
    [
        ("fct_transactions", BOUND, 1.0),
        ("fct_orders", binding("other", [("order", "n")]), 1.0),
        ("fct_orders", binding("acme", [("order", "-n")]), 1.0),
        ("fct_orders", BOUND, 501.0),
    ],
)
def test_a_cursor_of_something_else_is_refused(mart: str, bound: str, now: float) -> None:
    """Another mart, tenant, query or time is refused in the same words."""
    cursors = Cursors("key")
    with pytest.raises(BadQuery, match="CDL-CURSOR"):
        cursors.read(cursors.write(PLACE), mart=mart, bound=bound, now=now)


def test_another_process_key_is_refused() -> None:
    """A cursor signed under another key is no cursor."""
    with pytest.raises(BadQuery, match="CDL-CURSOR"):
        Cursors().read(Cursors().write(PLACE), mart="fct_orders", bound=BOUND, now=1.0)


@given(st.text(max_size=200))
def test_no_text_is_a_cursor(text: str) -> None:
    """Arbitrary text never breaks the reader."""
    with pytest.raises(BadQuery, match="CDL-CURSOR"):
        Cursors("key").read(text, mart="fct_orders", bound=BOUND, now=1.0)


def test_a_changed_version_is_noticed() -> None:
    """The version inside is signed: a caller cannot reach one that was never published to it."""
    cursors = Cursors("key")
    honest = cursors.write(PLACE)
    forged = Cursors("guess").write(dataclasses.replace(PLACE, version=8))
    with pytest.raises(BadQuery):
        cursors.read(honest[:22] + forged[22:], mart="fct_orders", bound=BOUND, now=1.0)
