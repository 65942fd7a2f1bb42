"""Masks: the promised form for every class, idempotent, and never more than promised."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from privacy.masks import CLASSES, HIDDEN, is_mask, mask, mask_sql
from schemas.contract import PII_CLASSES

VECTORS = json.loads((Path(__file__).parent / "vectors_masks.json").read_text(encoding="utf-8"))
CASES = [(cls, value, expected) for cls, cases in VECTORS.items() for value, expected in cases]
# How many characters of the value itself a mask may show, besides the domain of an e-mail and the network of an ip.
SHOWN = {"cpf": 2, "cnpj": 2, "email": 2, "phone": 2, "name": 2, "bank_account": 4, "card": 4}

plain = st.one_of(
    st.text(max_size=40),
    st.from_regex(r"[0-9]{8,16}", fullmatch=True),
    st.from_regex(r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", fullmatch=True),
    st.emails(),
    st.ip_addresses().map(str),
    st.from_regex(r"[*a-zA-Z0-9@. /:-]{0,20}", fullmatch=True),
)
classes = st.sampled_from(sorted(CLASSES))


def test_every_class_of_a_contract_has_a_mask():
    """A contract cannot name a class that the table of masks does not have."""
    assert set(PII_CLASSES) == set(CLASSES)


@pytest.mark.parametrize(("cls", "value", "expected"), CASES)
def test_vectors(cls: str, value: str, expected: str):
    """Each value of the vectors file has exactly the mask that stands beside it."""
    assert mask(cls, value) == expected


@given(classes, plain)
@example("email", "***@***@x.io")
@example("name", "***")
def test_masking_twice_is_masking_once(cls: str, value: str):
    """mask(mask(x)) == mask(x), and every mask is recognised as one."""
    once = mask(cls, value)
    assert once == mask(cls, once)
    assert is_mask(cls, once)


@given(classes, plain)
def test_a_mask_shows_no_more_than_promised(cls: str, value: str):
    """Outside the stars a mask holds at most the promised characters of the value."""
    shown = mask(cls, value)
    if shown == value:  # it already was a mask
        return
    if cls == "ip":
        assert shown == HIDDEN or shown.endswith(("/24", "/48"))
        return
    kept = shown.partition("@")[0] if cls == "email" else shown
    letters = [c for c in kept if c not in "*.-/ @"]
    assert len(letters) <= SHOWN.get(cls, 0)
    assert "***" in shown


@given(st.from_regex(r"[0-9]{9,11}", fullmatch=True))
def test_a_cpf_never_shows_through_another_class(digits: str):
    """A CPF typed into any other field stays hidden but for the digits that class may show."""
    for cls in CLASSES:
        assert digits not in mask(cls, digits)
        assert digits[:-4] not in mask(cls, f"{digits}@{digits}")


def test_sql_has_no_backslash_and_needs_no_escaping():
    """The expression reads the same whatever the escaping rules of string literals are."""
    for cls in CLASSES:
        text = mask_sql(cls, "`x`")
        assert "\\" not in text
        assert text.count("'") == 4


def test_a_line_feed_after_a_mask_is_no_mask():
    """The pattern holds to the very end: a trailing line feed does not pass."""
    for cls in CLASSES:
        assert not is_mask(cls, HIDDEN + "\n")
