"""The intake's pure parts: size, JSON, tenant, token."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from caudal.settings import Settings
from caudal.tokens import Principal, TokenStore
from producers.intake import body
from producers.intake.auth import authenticate, authorize
from producers.intake.errors import HttpRefused, busy


def status(call: object, *arguments: object) -> tuple[int, str]:
    with pytest.raises(HttpRefused) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.status, caught.value.code


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_a_body_is_read_up_to_its_limit():
    """The limit holds for what is declared and for what comes."""
    assert asyncio.run(body.read(chunks(b"ab", b"cd"), None, 4)) == b"abcd"
    for declared, parts in (("5", (b"",)), (None, (b"abc", b"de")), ("nonsense", (b"abcde",))):
        with pytest.raises(HttpRefused) as caught:
            asyncio.run(body.read(chunks(*parts), declared, 4))
        assert caught.value.status == 413


def test_parsing_keeps_digits_and_refuses_what_is_no_event():
    """Numbers keep their digits; a body is one object or a list that is not empty and not too long."""
    assert body.parse(b'{"a": 0.10}', 5) == body.Pushed([{"a": Decimal("0.10")}], single=True)
    assert body.parse(b"[1, {}]", 5) == body.Pushed([1, {}], single=False)
    assert [status(body.parse, text, 1) for text in (b"{", b'{"a": Infinity}', b"3", b"[]", b"[{}, {}]")] == [
        (400, "CDL-JSON"),
        (400, "CDL-JSON"),
        (422, "CDL-SHAPE"),
        (422, "CDL-SHAPE"),
        (413, "CDL-TOO-LARGE"),
    ]


def test_a_refusal_never_quotes_the_body():
    """What stands in a broken body does not come back in the answer."""
    with pytest.raises(HttpRefused) as caught:
        body.parse(b'{"cpf": 11144477735', 1)
    assert "11144477735" not in f"{caught.value} {caught.value.body()} {caught.value.__cause__}"


def test_the_tenant_comes_from_the_token():
    """A missing tenant is filled in, the same one passes, any other is refused."""
    assert body.bind({"a": 1}, "tenant_id", "t") == {"a": 1, "tenant_id": "t"}
    assert body.bind({"tenant_id": None}, "tenant_id", "t") == {"tenant_id": "t"}
    assert body.bind({"tenant_id": "t"}, "tenant_id", "t") == {"tenant_id": "t"}
    assert [body.bind(record, "tenant_id", "t") for record in ({"tenant_id": "u"}, {"tenant_id": 1}, [], "x")] == [
        "CDL-TENANT",
        "CDL-TENANT",
        "CDL-SHAPE",
        "CDL-SHAPE",
    ]


def test_bearer_tokens(offline_settings: Settings):
    """Only a live bearer token has a principal; every other header gives the same 401."""
    store = TokenStore(offline_settings.data_dir / "tokens.sqlite")
    token = store.issue("ingest", "t")
    assert authenticate(store, f"bearer {token}").tenant == "t"
    for header in (None, "", "Bearer", "Bearer ", f"Basic {token}", f"Bearer {token}x", token):
        assert status(authenticate, store, header) == (401, "CDL-UNAUTHORIZED")
    store.close()


@pytest.mark.parametrize(
    ("principal", "contract", "allowed"),
    [
        (Principal("1", "ingest", "t"), "a.b", True),
        (Principal("1", "ingest", "t", frozenset({"a.b"})), "a.b", True),
        (Principal("1", "ingest", "t", frozenset({"a.c"})), "a.b", False),
        (Principal("1", "ingest", None), "a.b", False),
        (Principal("1", "reader", "t"), "a.b", False),
        (Principal("1", "operator", "t"), "a.b", False),
        (Principal("1", "ingest", "t"), "own.made", False),
        (Principal("1", "ingest", "t", frozenset({"own.made"})), "own.made", True),
        (Principal("1", "ingest", "t", frozenset({"caudal.audit"})), "caudal.audit", False),
    ],
)
def test_who_may_push_what(principal: Principal, contract: str, allowed: bool):
    """Role, tenant and contracts decide; the platform's own contracts are closed."""
    if allowed:
        assert authorize(principal, contract, ("own.made",)) == "t"
    else:
        assert status(authorize, principal, contract, ("own.made",)) == (403, "CDL-FORBIDDEN")


def test_busy_says_when_to_come_back():
    """Retry-After is whole seconds, at least one."""
    assert [busy("x", seconds).headers["Retry-After"] for seconds in (0.2, 5.0)] == ["1", "5"]
