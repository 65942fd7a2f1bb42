"""Sealing: nothing in clear on the wire, tokens bound to person, field, position and tenant, refs random."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from caudal.settings import Settings
from privacy.errors import KeyDestroyed, TokenRefused
from privacy.reveal import reveal
from privacy.seal import Sealer
from privacy.vault import Vault
from schemas import wire
from schemas.contract import Contract, Subject, Version
from schemas.load import load_catalog

CATALOG = load_catalog(Path("schemas/contracts"))
TRANSACTION, REFUND = CATALOG["payments.transaction"], CATALOG["commerce.refund"]
PERSONAL = {
    "customer_cpf": "11144477735",
    "customer_email": "Ana@Example.com",
    "customer_phone": "+5511987654321",
    "bank_account": "0001-12345678",
    "card_number": "4111111111111111",
    "device_id": "device-77aa",
    "ip_address": "203.0.113.77",
    "payee_cpf": "00000000191",
}
EVENT = {
    "event_id": "e1",
    "tenant_id": "t1",
    "transaction_id": "x1",
    "amount": Decimal("10.50"),
    "occurred_at": 1_700_000_000_000,
    **PERSONAL,
}


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    opened = Vault.open(Settings(data_dir=tmp_path, privacy={"epoch_check_s": 0}))
    yield opened
    opened.close()


def with_array() -> Contract:
    """A contract with a list of personal values and no subject."""
    avsc = {
        "type": "record",
        "name": "Note",
        "fields": [
            {"name": "event_id", "type": "string"},
            {"name": "tenant_id", "type": "string"},
            {"name": "mails", "type": {"type": "array", "items": "string"}, "pii": "email", "id": "mails"},
        ],
    }
    version = Version(1, avsc, wire.derive(REFUND, avsc))
    return replace(REFUND, id="test.note", tenant="tenant_id", versions=(version,), refs={}, subject=None)


def test_nothing_personal_leaves_in_clear(vault: Vault):
    """A sealed record holds masks and tokens, and none of its personal values in any spelling of its own."""
    record = Sealer(vault, TRANSACTION).seal([EVENT])[0]
    text = json.dumps(record, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))
    for value in PERSONAL.values():
        assert value not in text
        assert value.encode().hex() not in text
    assert record["customer_cpf"]["mask"] == "***.***.***-35"
    assert EVENT["amount"] == record["amount"]


def test_tokens_open_with_their_person(vault: Vault):
    """Every token opens to the value exactly as it was given."""
    record = Sealer(vault, TRANSACTION).seal([EVENT])[0]
    for name, value in PERSONAL.items():
        token = record[name]["token"]
        assert token[:1] == b"\x01"
        assert len(token) == 1 + 12 + len(value) + 16
        assert value == reveal(vault, TRANSACTION, "t1", name, token, record["subject_ref"])


def test_a_token_cannot_be_moved(vault: Vault):
    """A token does not open for another person, field, contract or tenant, nor after a flipped bit."""
    sealer = Sealer(vault, TRANSACTION)
    mine, theirs = sealer.seal([EVENT, {**EVENT, "customer_cpf": "52998224725", "customer_email": "bo@example.com"}])
    token, ref = mine["customer_email"]["token"], mine["subject_ref"]
    other_contract = replace(TRANSACTION, id="payments.other")
    for contract, tenant, name, moved, owner in (
        (TRANSACTION, "t1", "customer_email", token, theirs["subject_ref"]),
        (TRANSACTION, "t1", "customer_phone", token, ref),
        (other_contract, "t1", "customer_email", token, ref),
        (TRANSACTION, "t2", "customer_email", token, ref),
        (TRANSACTION, "t1", "customer_email", token[:-1] + bytes([token[-1] ^ 1]), ref),
        (TRANSACTION, "t1", "customer_email", b"\x07" + token[1:], ref),
        (TRANSACTION, "t1", "customer_email", token, None),
        (TRANSACTION, "t1", "amount", token, ref),
    ):
        with pytest.raises(TokenRefused):
            reveal(vault, contract, tenant, name, moved, owner)


def test_one_person_in_two_contracts(vault: Vault):
    """The same CPF in two contracts of a tenant leads to one ref, whatever the fields are called there."""
    account = {"event_id": "a", "tenant_id": "t1", "holder_cpf": "111.444.777-35", "holder_email": None}
    first = Sealer(vault, TRANSACTION).seal([EVENT])[0]["subject_ref"]
    assert first == Sealer(vault, CATALOG["payments.account"]).seal([account])[0]["subject_ref"]
    assert first == vault.lookup("t1", "customer", "email", "ANA@example.com")


def test_refs_are_per_kind_and_value(vault: Vault):
    """Each ref of the contract is random per tenant, kind and value; a missing value has none."""
    sealer = Sealer(vault, TRANSACTION)
    first, second, third = sealer.seal([EVENT, {**EVENT, "card_number": None}, {**EVENT, "tenant_id": "t2"}])
    names = ("subject_ref", "card_ref", "device_ref", "ip_ref", "payee_ref")
    assert len({first[name] for name in names}) == 5
    assert second["card_ref"] is None
    assert first["device_ref"] == second["device_ref"]
    assert not {first[name] for name in names} & {third[name] for name in names}
    assert {name: first[name] for name in names} == sealer.refs_for(EVENT)


def test_refs_for_makes_nobody(vault: Vault):
    """Looking refs up before anything was sealed finds none."""
    assert {None} == set(Sealer(vault, TRANSACTION).refs_for(EVENT).values())


def test_an_event_without_subject_names_its_own_key(vault: Vault):
    """Without a subject the token carries the name of a single-use key, and the ref stays empty."""
    refund = {"event_id": "r", "shop_id": "s1", "note": "call me"}
    first, second = Sealer(vault, REFUND).seal([refund, refund])
    token = first["note"]["token"]
    assert first["subject_ref"] is None
    assert token[:1] == b"\x02"
    assert token[1:17] != second["note"]["token"][1:17]
    assert reveal(vault, REFUND, "s1", "note", token, None) == "call me"


def test_an_event_with_nothing_personal_needs_no_key(vault: Vault):
    """No identifier and no personal value: nothing is minted."""
    record = Sealer(vault, REFUND).seal([{"event_id": "r", "shop_id": "s1", "note": None}])[0]
    assert record == {"event_id": "r", "shop_id": "s1", "note": None, "subject_ref": None}


def test_lists_are_sealed_by_position(vault: Vault):
    """Each element of a list has its own token, bound to its position."""
    contract = with_array()
    record = Sealer(vault, contract).seal([{"event_id": "e", "tenant_id": "t", "mails": ["a@x.io", "bob@x.io"]}])[0]
    tokens = [entry["token"] for entry in record["mails"]]
    assert [entry["mask"] for entry in record["mails"]] == ["***@x.io", "bo***@x.io"]
    assert reveal(vault, contract, "t", "mails[1]", tokens[1], None) == "bob@x.io"
    with pytest.raises(TokenRefused):
        reveal(vault, contract, "t", "mails[0]", tokens[1], None)


def test_a_subject_that_comes_as_a_ref_is_copied(vault: Vault):
    """`subject.from` takes the field's ref as it is."""
    contract = replace(with_array(), subject=Subject("customer", ref_field="event_id"))
    ref = "ab" * 16
    record = Sealer(vault, contract).seal([{"event_id": ref, "tenant_id": "t", "mails": ["a@x.io"]}])[0]
    assert ref == record["subject_ref"]
    assert reveal(vault, contract, "t", "mails[0]", record["mails"][0]["token"], ref) == "a@x.io"


def test_an_erased_person_is_sealed_to_nothing(vault: Vault):
    """After the keys are destroyed old tokens stay shut, and new events carry neither mask nor token."""
    sealer = Sealer(vault, TRANSACTION)
    before = sealer.seal([EVENT])[0]
    vault.destroy(str(before["subject_ref"]))
    after = sealer.seal([EVENT])[0]
    assert {None} == {after[name] for name in PERSONAL}
    assert before["subject_ref"] == after["subject_ref"]
    with pytest.raises(KeyDestroyed):
        reveal(vault, TRANSACTION, "t1", "customer_cpf", before["customer_cpf"]["token"], before["subject_ref"])


def test_wrong_check_digits_are_flagged_and_sealed(vault: Vault):
    """A mistyped CPF is named by field, and sealed like any other."""
    sealer, wrong = Sealer(vault, TRANSACTION), {**EVENT, "customer_cpf": "11144477736"}
    assert sealer.flags(wrong) == ("customer_cpf",)
    assert sealer.flags(EVENT) == ()
    assert sealer.seal([wrong])[0]["customer_cpf"]["mask"] == "***.***.***-36"
