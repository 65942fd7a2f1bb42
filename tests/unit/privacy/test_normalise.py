"""Normalisation: however a value was typed, it leads to one person; wrong check digits are told apart."""

import pytest

from privacy.normalise import bad_check_digits, normalise, valid_card, valid_cnpj, valid_cpf


@pytest.mark.parametrize(
    ("cls", "spellings"),
    [
        ("cpf", ["11144477735", "111.444.777-35", " 111 444 777 35"]),
        ("cpf", ["00000000191", "191".zfill(9), "000000191"]),
        ("cnpj", ["12ABC34501DE35", "12.abc.345/01de-35"]),
        ("email", ["Ana@Example.com", " ana@example.com "]),
        ("phone", ["+55 (11) 98765-4321", "11 98765-4321", "011987654321", "005511987654321"]),
        ("name", ["João  da Silva", "joao da silva"]),
        ("bank_account", ["0001-1234567-8", "000112345678"]),
        ("card", ["4111 1111 1111 1111", "4111-1111-1111-1111"]),
        ("ip", ["::ffff:203.0.113.7", "203.0.113.7"]),
        ("ip", ["2001:DB8:0:0::1", "2001:db8::1"]),
        (None, [" 42", "42 "]),
    ],
)
def test_spellings_of_one_value_are_one(cls: str | None, spellings: list[str]):
    """All spellings of one identifier have one canonical form."""
    assert len({normalise(cls, text) for text in spellings}) == 1


def test_nothing_is_no_identifier():
    """A value without content normalises to nothing, so that nobody is linked by it."""
    assert [normalise("cpf", "n/a"), normalise("email", "  "), normalise(None, " ")] == [""] * 3


@pytest.mark.parametrize("text", ["12ABC34501DE35", "12.ABC.345/01DE-35", "11.222.333/0001-81", "11222333000181"])
def test_cnpj_check_digits_of_both_forms(text: str):
    """The numeric and the alphanumeric CNPJ are checked by one rule."""
    assert valid_cnpj(text)
    assert not valid_cnpj(text[:-1] + str((int(text[-1]) + 1) % 10))


def test_check_digits_are_flagged():
    """Wrong check digits are seen for CPF, CNPJ and card, and never for classes that have none."""
    assert valid_cpf("111.444.777-35")
    assert not valid_cpf("111.444.777-36")
    assert not valid_cpf("11111111111")
    assert valid_card("4111111111111111")
    assert not valid_card("4111111111111112")
    assert bad_check_digits("cpf", "12345678900")
    assert not bad_check_digits("phone", "1")
