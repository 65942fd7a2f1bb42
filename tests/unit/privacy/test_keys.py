"""Key providers: what wraps unwraps, in the same context only, with a file that nobody else can read."""

import base64
import json
from pathlib import Path

import pytest

from privacy.errors import KeyDestroyed, KeysetUnusable
from privacy.keys import LocalKeyset, Wrapped

CONTEXT = {"tenant": "shop-1", "purpose": "wrap"}


def test_a_wrapped_secret_opens_in_its_own_context_only(tmp_path: Path):
    """A secret wrapped for one tenant and purpose does not open for another."""
    provider = LocalKeyset.open(tmp_path / "keyset.json")
    wrapped = provider.wrap(b"secret", CONTEXT)
    assert LocalKeyset.open(tmp_path / "keyset.json").unwrap(wrapped, dict(reversed(CONTEXT.items()))) == b"secret"
    with pytest.raises(KeyDestroyed):
        provider.unwrap(wrapped, {**CONTEXT, "tenant": "shop-2"})


def test_old_epochs_open_and_the_primary_wraps(tmp_path: Path):
    """After a rotation new secrets use the new key, old ones still open, and a removed key is gone."""
    path = tmp_path / "keyset.json"
    old = LocalKeyset.open(path).wrap(b"old", CONTEXT)
    found = json.loads(path.read_text())
    found["keys"].append({"id": "2", "key": base64.b64encode(b"k" * 32).decode()})
    path.write_text(json.dumps({**found, "primary": "2"}))
    rotated = LocalKeyset.open(path)
    assert rotated.unwrap(old, CONTEXT) == b"old"
    assert rotated.wrap(b"new", CONTEXT).key_id == "2"
    with pytest.raises(KeyDestroyed):
        LocalKeyset("2", {"2": b"k" * 32}).unwrap(old, CONTEXT)


@pytest.mark.parametrize("text", ["", "{}", '{"primary": "1", "keys": [{"id": "1", "key": "c2hvcnQ="}]}'])
def test_a_broken_keyset_is_refused_without_quoting_it(tmp_path: Path, text: str):
    """A keyset that is not one is a coded error that shows none of its content."""
    path = tmp_path / "keyset.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(KeysetUnusable) as caught:
        LocalKeyset.open(path)
    assert "c2hvcnQ" not in str(caught.value)


def test_a_keyset_open_to_others_is_refused(tmp_path: Path):
    """A keyset that another user could have read must not be used silently."""
    path = tmp_path / "keyset.json"
    LocalKeyset.open(path)
    path.chmod(0o640)
    with pytest.raises(KeysetUnusable):
        LocalKeyset.open(path)


def test_a_second_process_does_not_replace_the_keyset(tmp_path: Path):
    """The first keyset written stays, whoever opens next."""
    first = LocalKeyset.open(tmp_path / "keyset.json").wrap(b"x", CONTEXT)
    assert LocalKeyset.open(tmp_path / "keyset.json").unwrap(Wrapped("1", first.blob), CONTEXT) == b"x"
    assert [tmp_path / "keyset.json"] == list(tmp_path.iterdir())
