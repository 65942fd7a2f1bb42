from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import Request

from caudal.tokens import Principal
from serving.api.admit import Gate
from serving.api.errors import OverQuota, TooFast
from serving.api.rates import Rates
from serving.api.usage import Usage, Used

NOON = 1_780_000_000.0 // 86_400 * 86_400 + 43_200


@pytest.fixture
def clock() -> list[float]:
    return [NOON]


@pytest.fixture
def usage(tmp_path: Path, clock: list[float]) -> Iterator[Usage]:
    made = Usage(tmp_path / "usage.sqlite", lambda: clock[0])
    yield made
    made.close()


def test_counts_are_by_tenant_and_day(usage: Usage, clock: list[float]) -> None:
    """A tenant's day is the sum of its answers; midnight begins a new one; another tenant's is its own."""
    for _ in range(3):
        usage.add("a", Used(1, 0, 10, 100, 0.5))
    usage.add("b", Used(1, 1, 0, 5, 0.1))
    assert (usage.today("a").requests, usage.today("a").rows, usage.today("b").refused) == (3, 30, 1)
    assert usage.seconds_left() == 43_200
    clock[0] += 43_200
    assert usage.today("a") == Used()
    usage.add("a", Used(1, 0, 1, 1, 0.0))
    mine = usage.days("a")
    assert [day["requests"] for day in mine] == [1, 3]
    assert {day["tenant"] for day in mine} == {"a"}
    assert len(usage.days(None)) == 3


def test_counts_outlive_the_process(tmp_path: Path) -> None:
    """Two processes on one file add up, and a later one knows both."""
    one, two = (Usage(tmp_path / "u.sqlite", lambda: NOON) for _ in range(2))
    one.add("a", Used(requests=2))
    two.add("a", Used(requests=3))
    one.close()
    two.close()
    later = Usage(tmp_path / "u.sqlite", lambda: NOON)
    assert later.today("a").requests == 5
    later.close()


def test_old_days_go(usage: Usage, clock: list[float]) -> None:
    """Days are kept for two months."""
    usage.add("a", Used(requests=1))
    usage.days("a")
    clock[0] += 100 * 86_400
    usage.add("a", Used(requests=1))
    assert len(usage.days("a")) == 1


class Tokens:
    def resolve(self, plain: str) -> Principal | None:
        return Principal(plain, "reader", "acme")


def asked(token: str) -> Request:
    headers = [(b"authorization", f"Bearer {token}".encode())]
    return Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 1)})


def test_tokens_of_a_tenant_share_its_rate() -> None:
    """More tokens are no more requests: the tenant's own rate holds them together."""
    gate = Gate(Tokens(), Rates(1, 100, lambda: 0.0), Rates(1, 3, lambda: 0.0))
    for token in ("x", "y", "z"):
        gate.admit(asked(token), "reader")
    with pytest.raises(TooFast, match="tenant"):
        gate.admit(asked("w"), "reader")


def test_a_used_up_day_says_when_it_ends() -> None:
    """Above its quota a tenant hears 429, a code of its own, and the seconds to midnight."""
    gate = Gate(Tokens(), Rates(1, 100, lambda: 0.0), quota=lambda tenant: 600 if tenant == "acme" else 0)
    with pytest.raises(OverQuota) as refused:
        gate.admit(asked("x"), "reader")
    assert (refused.value.code, refused.value.headers) == ("CDL-QUOTA", {"Retry-After": "600"})
