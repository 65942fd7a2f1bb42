from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from caudal.tokens import TokenStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TokenStore]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def test_a_list_names_tokens_without_them(store: TokenStore) -> None:
    """Living tokens are listed by id, role and tenant; expired ones and the tokens themselves are not."""
    plain = store.issue("reader", "acme")
    store.issue("reader", "gone", lifetime_s=-1)
    [held] = store.listed()
    assert (held.principal, held.expires) == (store.resolve(plain), None)
    assert plain not in repr(held)


def test_a_rotated_token_overlaps_with_its_successor(store: TokenStore) -> None:
    """The new one speaks for the same; the old one works until its grace is over."""
    old = store.issue("ingest", "acme", ("commerce.order",))
    before = store.resolve(old)
    assert before is not None
    new = store.rotate(before.id, grace_s=60)
    assert new is not None
    after = store.resolve(new)
    assert after is not None
    assert (after.role, after.tenant, after.contracts) == (before.role, before.tenant, before.contracts)
    assert after.id != before.id
    assert store.resolve(old) == before
    last = store.rotate(after.id, grace_s=0)
    assert last is not None
    assert (store.resolve(new), store.resolve(last) is not None) == (None, True)


def test_grace_never_lengthens_a_life(store: TokenStore) -> None:
    """A token that ends sooner by itself still does, and a dead one has no successor."""
    plain = store.issue("reader", "acme", lifetime_s=5)
    [held] = store.listed()
    store.rotate(held.principal.id, grace_s=3600)
    ends = {h.principal.id: h.expires for h in store.listed()}
    assert ends[held.principal.id] == held.expires
    assert store.end(held.principal.id)
    assert store.resolve(plain) is None
    assert store.rotate(held.principal.id, grace_s=1) is None
    assert not store.end("never")
