"""The vault: one person one ref, the oldest wins, keys die with their person, caches follow within a second."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from caudal.settings import Settings
from privacy import store
from privacy.errors import VaultBusy
from privacy.keys import LocalKeyset
from privacy.settings import PrivacySettings
from privacy.vault import Admitted, Need, Vault, index

TENANT = "shop-1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, privacy={"epoch_check_s": 0, "busy_s": 0.05})


@pytest.fixture
def vault(settings: Settings) -> Iterator[Vault]:
    opened = Vault.open(settings)
    yield opened
    opened.close()


def person(vault: Vault, *identifiers: str, groups: tuple[str, ...] = (), tenant: str = TENANT) -> Need:
    key = vault.index_key(tenant)
    return Need(tenant, "customer", tuple(index(key, "customer", "id", text) for text in identifiers), groups=groups)


def one(vault: Vault, *identifiers: str, groups: tuple[str, ...] = ()) -> Admitted:
    return vault.admit([person(vault, *identifiers, groups=groups)])[0]


def rows(settings: Settings, sql: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(settings.data_dir / "vault" / "vault.db")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def test_a_person_keeps_one_random_ref(vault: Vault, settings: Settings):
    """The same identifier leads to the same 128-bit ref for ever, also in a vault opened anew."""
    ref = one(vault, "a").name
    assert len(bytes.fromhex(ref)) == 16
    assert ref == one(vault, "a").name
    other = Vault.open(settings)
    assert ref == one(other, "a").name
    assert ref == other.lookup(TENANT, "customer", "id", " a ")
    other.close()


def test_lookup_makes_nobody(vault: Vault, settings: Settings):
    """Looking for someone unknown finds nobody and writes nothing."""
    assert vault.lookup(TENANT, "customer", "id", "a") is None
    assert rows(settings, "SELECT count(*) FROM subject") == [(0,)]


def test_refs_differ_by_tenant_and_kind(vault: Vault):
    """One identifier is another ref at another tenant and as another kind, so nothing joins across tenants."""
    mine = one(vault, "a").name
    theirs = vault.admit([person(vault, "a", tenant="shop-2")])[0].name
    card = vault.admit([Need(TENANT, "card", (index(vault.index_key(TENANT), "card", "id", "a"),))])[0].name
    assert len({mine, theirs, card}) == 3


def test_two_refs_of_one_person_become_the_oldest(vault: Vault, settings: Settings):
    """When an event shows that two refs are one person, the older ref wins, also inside one batch, and a link stays."""
    old, young = one(vault, "cpf").name, one(vault, "email").name
    batch = vault.admit([person(vault, "email"), person(vault, "email", "cpf"), person(vault, "email", "new")])
    assert [old, old, old] == [entry.name for entry in batch]
    assert old == one(vault, "email").name == one(vault, "new").name
    assert [(young, old)] == rows(settings, "SELECT from_ref, to_ref FROM link")


def test_another_process_follows_links(vault: Vault, settings: Settings):
    """A vault that remembers the younger ref drops it once another process has joined the two."""
    old, young = one(vault, "cpf").name, one(vault, "email").name
    other = Vault.open(settings)
    assert young == one(other, "email").name
    one(vault, "cpf", "email")
    assert old == one(other, "email").name
    other.close()


@hypothesis_settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.sets(st.integers(0, 6), min_size=1, max_size=3), max_size=12), split=st.integers(1, 5))
def test_people_are_the_connected_identifiers(tmp_path_factory: pytest.TempPathFactory, events, split: int):
    """However events are cut into batches, two identifiers share a ref exactly when events connect them."""
    vault = Vault.open(Settings(data_dir=tmp_path_factory.mktemp("vault")))
    for start in range(0, len(events), split):
        vault.admit([person(vault, *map(str, sorted(event))) for event in events[start : start + split]])
    groups: list[set[int]] = []
    for event in events:
        met = [group for group in groups if group & event]
        groups = [group for group in groups if not group & event] + [event.union(*met)]
    refs = [{vault.lookup(TENANT, "customer", "id", str(i)) for i in group} for group in groups]
    vault.close()
    assert all(len(found) == 1 and None not in found for found in refs)
    assert len(groups) == len(set().union(*refs)) if groups else True


def test_keys_are_per_person_and_group(vault: Vault):
    """Each person has another key for each group, and gets the same one again."""
    first = one(vault, "a", groups=("identity", "contact")).keys
    again = one(vault, "a", groups=("identity", "contact")).keys
    other = one(vault, "b", groups=("identity",)).keys
    token = first["identity"].encrypt(b"\0" * 12, b"x", None)
    assert again["identity"].decrypt(b"\0" * 12, token, None) == b"x"
    assert token != first["contact"].encrypt(b"\0" * 12, b"x", None)
    assert token != other["identity"].encrypt(b"\0" * 12, b"x", None)


def test_a_single_use_key_is_never_shared(vault: Vault):
    """Events without identifiers get a key of their own each, kept in the vault under a random name."""
    need = Need(TENANT, groups=("identity",))
    first, second = vault.admit([need, need])
    assert first.name != second.name
    assert vault.key(first.name, "identity") is not None
    assert vault.admit([Need(TENANT)])[0] == Admitted("", {}, False)


def test_uses_of_refs_are_kept_once(vault: Vault, settings: Settings):
    """Which subjects a card was seen with is known, so that erasing the only one can erase the card."""
    card = Need(TENANT, "card", (index(vault.index_key(TENANT), "card", "card", "4111"),))
    for _ in range(2):
        vault.admit([person(vault, "a"), card, person(vault, "b"), card], [(1, 0), (3, 2)])
    assert rows(settings, "SELECT count(*) FROM ref_use") == [(2,)]


def test_a_destroyed_person_is_gone_everywhere_within_the_epoch(vault: Vault, settings: Settings):
    """Destroying removes the keys of a person and of refs joined with it; other processes' caches follow."""
    one(vault, "cpf", groups=("identity",))
    one(vault, "email", groups=("contact",))
    ref = one(vault, "cpf", "email", groups=("identity",)).name
    other = Vault.open(settings)
    assert one(other, "cpf", groups=("identity",)).keys
    assert vault.destroy(ref) == 2
    assert rows(settings, "SELECT count(*) FROM key") == [(0,)]
    for opened in (vault, other):
        assert opened.key(ref, "identity") is None
        assert opened.lookup(TENANT, "customer", "id", "cpf") is None
        assert Admitted(ref, {}, True) == one(opened, "cpf", groups=("identity",))
    other.close()


def test_an_erased_person_never_comes_back(vault: Vault, settings: Settings):
    """A new event of an erased person makes no key, and a new identifier of it stays erased too."""
    ref = one(vault, "cpf", groups=("identity",)).name
    vault.destroy(ref)
    assert Admitted(ref, {}, True) == one(vault, "cpf", "email", groups=("identity",))
    assert one(vault, "email", groups=("identity",)).erased
    assert rows(settings, "SELECT count(*) FROM key") == [(0,)]


def test_a_shared_identifier_does_not_pull_the_living_along(vault: Vault):
    """An event that names an erased and a living person is suppressed; the living one stays as it was."""
    dead, living = one(vault, "cpf", groups=("contact",)).name, one(vault, "email", groups=("contact",)).name
    vault.destroy(dead)
    assert one(vault, "cpf", "email", groups=("contact",)).erased
    assert living == one(vault, "email", groups=("contact",)).name
    assert one(vault, "email", groups=("contact",)).keys


def test_a_locked_vault_is_a_transient_error_and_leaves_nothing(vault: Vault, settings: Settings):
    """When another process holds the write lock the batch fails as a whole, and the next try works."""
    vault.index_key(TENANT)
    holder = sqlite3.connect(settings.data_dir / "vault" / "vault.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(VaultBusy):
        one(vault, "a")
    holder.execute("ROLLBACK")
    holder.close()
    ref = one(vault, "a").name
    assert ref == vault.lookup(TENANT, "customer", "id", "a")


def test_a_failing_batch_leaves_no_trace(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    """A batch that fails half-way is undone in the file and was never in memory."""
    vault = Vault.open(settings)

    def fail(*_: object) -> None:
        raise RuntimeError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(store, "add_uses", fail)
        with pytest.raises(RuntimeError):
            one(vault, "a", groups=("identity",))
    assert vault.lookup(TENANT, "customer", "id", "a") is None
    assert rows(settings, "SELECT (SELECT count(*) FROM subject), (SELECT count(*) FROM key)") == [(0, 0)]
    vault.close()


def test_files_are_for_their_owner_only(vault: Vault, settings: Settings):
    """Vault and keyset can be read by nobody else, and the vault is durable and overwrites what it deletes."""
    folder = settings.data_dir / "vault"
    assert {0o600} == {stat.S_IMODE((folder / name).stat().st_mode) for name in ("vault.db", "keyset.json")}
    db = store.connect(folder / "vault.db", 1)
    assert [db.execute(f"PRAGMA {name}").fetchone() for name in ("journal_mode", "synchronous", "secure_delete")] == [
        ("wal",),
        (2,),
        (1,),
    ]
    db.close()


def test_memory_is_bounded(tmp_path: Path):
    """Caches hold what the settings allow; whoever fell out is found again in the file."""
    own = PrivacySettings(cache_entries=10)
    vault = Vault(store.connect(tmp_path / "v.db", 1), LocalKeyset.open(tmp_path / "k.json"), own)
    refs = [one(vault, str(i), groups=("identity",)).name for i in range(40)]
    assert len(vault._subjects) <= 11
    assert len(vault._keys) <= 11
    assert refs == [one(vault, str(i), groups=("identity",)).name for i in range(40)]
    vault.close()
