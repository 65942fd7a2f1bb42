"""One spelling per identifier, so that the vault's index finds the same person however a value was typed.

Normalised values exist only in memory: they go into an HMAC and are dropped.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable

_NOT_DIGIT = re.compile("[^0-9]+")
_NOT_ALNUM = re.compile("[^0-9A-Z]+")
_SPACES = re.compile(r"\s+")
_BRAZIL = "55"


def _digits(value: str) -> str:
    return value if value.isascii() and value.isdigit() else _NOT_DIGIT.sub("", value)


def _cpf(value: str) -> str:
    digits = _digits(value)
    # Numbers lose their leading zeros on the way through spreadsheets and JSON.
    return digits.zfill(11) if 9 <= len(digits) <= 11 else digits


def _cnpj(value: str) -> str:
    text = _NOT_ALNUM.sub("", value.upper())
    return text.zfill(14) if 12 <= len(text) <= 14 and text.isdigit() else text


def _email(value: str) -> str:
    return value.strip().lower()


def _phone(value: str) -> str:
    """E.164 digits; a number without country is Brazilian: area code and 8 or 9 digits."""
    text = value.strip()
    digits = _digits(text)
    if text.startswith("+"):
        return digits
    if digits.startswith("00"):
        return digits[2:]
    national = digits.lstrip("0")
    return _BRAZIL + national if len(national) in (10, 11) else national


def _ip(value: str) -> str:
    text = value.strip()
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text.lower()
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def _words(value: str) -> str:
    plain = "".join(c for c in unicodedata.normalize("NFKD", value) if not unicodedata.combining(c))
    return _SPACES.sub(" ", plain).strip().casefold()


def _alnum(value: str) -> str:
    return _NOT_ALNUM.sub("", value.upper())


def _plain(value: str) -> str:
    return value.strip()


_RULES: dict[str, Callable[[str], str]] = {
    "cpf": _cpf,
    "cnpj": _cnpj,
    "email": _email,
    "phone": _phone,
    "name": _words,
    "bank_account": _alnum,
    "card": _digits,
    "address": _words,
    "ip": _ip,
    "device": _plain,
    "free_text": _words,
}


def normalise(cls: str | None, value: str) -> str:
    """The canonical spelling of an identifier; `cls` None is a plain id (only trimmed). Empty means: no identifier."""
    return _RULES.get(cls or "", _plain)(value)


def valid_cpf(value: str) -> bool:
    """True when the two check digits of a CPF are right (eleven equal digits are not a CPF)."""
    digits = _cpf(value)
    if len(digits) != 11 or digits == digits[0] * 11:
        return False
    # Unrolled: this runs for every event with a CPF.
    a, b, c, d, e, f, g, h, i, first, second = map(int, digits)
    if (10 * a + 9 * b + 8 * c + 7 * d + 6 * e + 5 * f + 4 * g + 3 * h + 2 * i) * 10 % 11 % 10 != first:
        return False
    total = 11 * a + 10 * b + 9 * c + 8 * d + 7 * e + 6 * f + 5 * g + 4 * h + 3 * i + 2 * first
    return total * 10 % 11 % 10 == second


_CNPJ_WEIGHTS = (6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def valid_cnpj(value: str) -> bool:
    """True when a CNPJ's check digits are right, in the numeric form or the alphanumeric one of July 2026."""
    text = _cnpj(value)
    if len(text) != 14 or not text[12:].isdigit() or text == text[0] * 14:
        return False
    # Modulo 11 over ASCII code minus 48, so that digits keep their own value and A counts 17.
    numbers = [ord(c) - 48 for c in text]
    for size in (12, 13):
        rest = sum(n * w for n, w in zip(numbers[:size], _CNPJ_WEIGHTS[13 - size :], strict=True)) % 11
        if numbers[size] != (0 if rest < 2 else 11 - rest):
            return False
    return True


def valid_card(value: str) -> bool:
    """True when a card number's Luhn digit is right."""
    digits = _digits(value)
    if not 12 <= len(digits) <= 19:
        return False
    doubled = (sum(divmod(int(d) * 2, 10)) for d in digits[-2::-2])
    return (sum(int(d) for d in digits[-1::-2]) + sum(doubled)) % 10 == 0


_CHECKS: dict[str, Callable[[str], bool]] = {"cpf": valid_cpf, "cnpj": valid_cnpj, "card": valid_card}


def bad_check_digits(cls: str, value: str) -> bool:
    """True when the class has check digits and this value's are wrong. Such values are sealed all the same."""
    check = _CHECKS.get(cls)
    return check is not None and not check(value)
