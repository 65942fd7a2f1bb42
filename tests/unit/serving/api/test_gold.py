from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.api.gold import Kept, Mart

MART = Mart("fct_orders", "live", "c", 0, "gold/fct_orders", "0123456789", 7, 1)


def test_a_value_is_made_once() -> None:
    """Many who ask at once for what takes long get one and the same; only the latest few are kept."""
    kept: Kept[str, object] = Kept(2)
    made: list[str] = []
    together = threading.Barrier(8)

    def make() -> object:
        made.append("a")
        return object()

    def ask(_: int) -> object:
        together.wait(10)
        return kept.get("a", make)

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ask, range(8)))
    assert (len(found), made) == (1, ["a"])
    for key in ("b", "c"):
        kept.get(key, object)
    assert kept.get("a", make) not in found


def test_a_failure_is_not_kept() -> None:
    """What could not be made is tried again by the next who asks."""
    kept: Kept[str, int] = Kept(2)
    with pytest.raises(ZeroDivisionError):
        kept.get("a", lambda: 1 // 0)
    assert kept.get("a", lambda: 1) == 1


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        (MART.tag, 7),
        (MART.etag, 7),
        ("fct_orders.01234567.3", 3),
        ("fct_orders.01234567.8", None),
        ("fct_orders.01234567.-1", None),
        ("fct_orders.01234567.٣", None),
        ("fct_orders.76543210.3", None),
        ("dim_shops.01234567.3", None),
        ("", None),
    ],
)
def test_a_tag_names_a_version_of_its_own_table(tag: str, version: int | None) -> None:
    """In either form; never one to come, of another table, or of a table of that name that was replaced."""
    assert MART.version_of(tag) == version
