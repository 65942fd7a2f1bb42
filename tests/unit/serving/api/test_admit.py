from __future__ import annotations

import pytest
from fastapi import Request

from caudal.tokens import Principal
from serving.api.admit import Gate
from serving.api.errors import NoToken, TooFast, WrongRole
from serving.api.rates import Rates

KNOWN = {
    "reader": Principal("1", "reader", "acme"),
    "loose": Principal("2", "reader", None),
    "operator": Principal("3", "operator", None),
    "scorer": Principal("4", "scorer", "acme"),
    "ingest": Principal("5", "ingest", "acme"),
}


class Tokens:
    def resolve(self, plain: str) -> Principal | None:
        return KNOWN.get(plain)


def request(header: str | None, peer: str = "10.0.0.1") -> Request:
    headers = [] if header is None else [(b"authorization", header.encode())]
    return Request({"type": "http", "headers": headers, "client": (peer, 1)})


def gate(per_s: float = 1.0, burst: int = 100) -> Gate:
    return Gate(Tokens(), Rates(per_s, burst, now=lambda: 0.0))


@pytest.mark.parametrize(("token", "tenant"), [("reader", "acme"), ("operator", None)])
def test_readers_and_operators_may_read(token: str, tenant: str | None) -> None:
    """The tenant comes from the token; an operator has none and sees all."""
    assert tenant == gate().admit(request(f"Bearer {token}"), "reader", "operator").tenant


@pytest.mark.parametrize("token", ["scorer", "ingest", "loose"])
def test_other_roles_may_not(token: str) -> None:
    """A role for something else is refused, and so is a reader that no tenant owns."""
    with pytest.raises(WrongRole):
        gate().admit(request(f"Bearer {token}"), "reader", "operator")


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic reader", "Bearer nope", "Bearer " + "x" * 129]
)
def test_no_token_is_always_the_same_answer(header: str | None) -> None:
    """Missing, malformed and unknown tokens cannot be told apart."""
    with pytest.raises(NoToken) as refused:
        gate().admit(request(header), "reader")
    assert NoToken().facts() == refused.value.facts()


def test_each_token_has_its_own_rate() -> None:
    """One token's burst leaves the others alone, and the wait is told."""
    judge = gate(per_s=0.5, burst=2)
    for _ in range(2):
        judge.admit(request("Bearer reader"), "reader")
    with pytest.raises(TooFast) as refused:
        judge.admit(request("Bearer reader"), "reader")
    assert refused.value.headers == {"Retry-After": "2"}
    judge.admit(request("Bearer operator"), "operator")


def test_guessing_is_held_by_address() -> None:
    """Callers without a good token share the bucket of their address."""
    judge = gate(burst=3)
    for guess in range(3):
        with pytest.raises(NoToken):
            judge.admit(request(f"Bearer guess{guess}"), "reader")
    with pytest.raises(TooFast):
        judge.admit(request("Bearer guess4"), "reader")
    with pytest.raises(NoToken):
        judge.admit(request("Bearer guess4", peer="10.0.0.2"), "reader")


def test_a_bucket_fills_again() -> None:
    """After silence the burst is whole again, and never more than whole."""
    now = [0.0]
    rates = Rates(1.0, 2, now=lambda: now[0])
    assert [rates.take("a") for _ in range(3)] == [0, 0, 1]
    now[0] = 1.0
    assert [rates.take("a") for _ in range(2)] == [0, 1]
    now[0] = 1000.0
    assert [rates.take("a") for _ in range(3)] == [0, 0, 1]
