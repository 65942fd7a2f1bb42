"""What people may see of a personal value: one table of masks, used by Python and enforced by Spark.

Every class has three things: `make` turns a value into its mask, `form` is the exact shape of that mask, and
`mask_sql` is the same rule as a native Spark expression. `***` (nothing shown) is a good mask of every class.

| class | mask | shown |
|---|---|---|
| cpf | `***.***.***-09` | the two check digits: ten million people share them |
| cnpj | `**.***.***/****-35` | the two check digits |
| email | `ab***@domain`, `***@domain` when the local part has two characters or fewer | two characters, the domain |
| phone | `****67` | two last digits |
| name | `J*** S***` | first letter of the first and the last word, without accent |
| bank_account | `****1234`, `****12` when it has fewer than 8 characters | four or two last characters |
| card | `****1234` | four last digits |
| ip | `203.0.113.0/24`, `2001:db8:1::/48` | the network |
| address, device, free_text | `***` | nothing |

A value that does not look like its class is hidden completely, so a CPF typed into an e-mail field never shows.
"""

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

HIDDEN = "***"

# Only constructs that Java and Python read alike, and no backslash, so no escaping differs between SQL dialects.
# (?s)…(?!.) is "to the very end": `$` would allow a line feed after the mask in both languages.
_START, _END = "(?s)^(?:[*]{3}|", ")(?!.)"

_DOMAIN = "(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?[.]){1,8}[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
_LOCAL_START = "[A-Za-z0-9!#%&+/=?^_{|}~.-]{2}"
_DOMAIN_RE = re.compile(_DOMAIN)
_LOCAL_START_RE = re.compile(_LOCAL_START)
_NOT_DIGIT = re.compile("[^0-9]+")
_NOT_ALNUM = re.compile("[^0-9A-Z]+")
_CPF_CHARS = re.compile("[0-9. /-]+")


def _cpf(value: str) -> str:
    # Spreadsheets and JSON numbers lose leading zeros, so nine and ten digits are a CPF too.
    if _CPF_CHARS.fullmatch(value):
        digits = _NOT_DIGIT.sub("", value)
        if 9 <= len(digits) <= 11:
            return f"***.***.***-{digits[-2:]}"
    return HIDDEN


def _cnpj(value: str) -> str:
    text = _NOT_ALNUM.sub("", value.upper())
    return f"**.***.***/****-{text[-2:]}" if len(text) == 14 and _is_digits(text[-2:]) else HIDDEN


def _email(value: str) -> str:
    local, at, domain = value.strip().rpartition("@")
    domain = domain.lower()
    if not at or not local or not _DOMAIN_RE.fullmatch(domain):
        return HIDDEN
    shown = local[:2] if len(local) > 2 and _LOCAL_START_RE.fullmatch(local[:2]) else ""
    return f"{shown}***@{domain}"


def _phone(value: str) -> str:
    digits = _NOT_DIGIT.sub("", value)
    return f"****{digits[-2:]}" if 8 <= len(digits) <= 15 else HIDDEN


def _name(value: str) -> str:
    words = value.split()
    if not words or min(len(words[0]), len(words[-1])) < 2:
        return HIDDEN
    ends = words if len(words) == 1 else [words[0], words[-1]]
    initials = [unicodedata.normalize("NFKD", word)[0].upper() for word in ends]
    if not all(len(i) == 1 and "A" <= i <= "Z" for i in initials):
        return HIDDEN
    return " ".join(f"{initial}***" for initial in initials)


def _bank_account(value: str) -> str:
    text = _NOT_ALNUM.sub("", value.upper())
    # A PIX key can be an e-mail address, whose last characters are a domain.
    if "@" in value or len(text) < 4:
        return HIDDEN
    return f"****{text[-4:] if len(text) >= 8 else text[-2:]}"


def _card(value: str) -> str:
    digits = _NOT_DIGIT.sub("", value)
    return f"****{digits[-4:]}" if 12 <= len(digits) <= 19 else HIDDEN


def _ip(value: str) -> str:
    try:
        address = ipaddress.ip_address(value.strip())
    except ValueError:
        return HIDDEN
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, ipaddress.IPv4Address):
        return f"{str(address).rpartition('.')[0]}.0/24"
    return str(ipaddress.IPv6Network((int(address) >> 80 << 80, 48)))


def _hidden(_: str) -> str:
    return HIDDEN


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


@dataclass(frozen=True)
class MaskClass:
    """One class of personal value: `make` gives a mask that always fits `form` (a pattern for Java and Python)."""

    name: str
    make: Callable[[str], str]
    form: str
    matches: Callable[[str], object]


def _mask_class(name: str, make: Callable[[str], str], shape: str) -> MaskClass:
    form = _START + shape + _END
    return MaskClass(name, make, form, re.compile(form).match)


CLASSES: dict[str, MaskClass] = {
    entry.name: entry
    for entry in (
        _mask_class("cpf", _cpf, "[*]{3}[.][*]{3}[.][*]{3}-[0-9]{2}"),
        _mask_class("cnpj", _cnpj, "[*]{2}[.][*]{3}[.][*]{3}/[*]{4}-[0-9]{2}"),
        _mask_class("email", _email, f"(?:{_LOCAL_START})?[*]{{3}}@{_DOMAIN}"),
        _mask_class("phone", _phone, "[*]{4}[0-9]{2}"),
        _mask_class("name", _name, "[A-Z][*]{3}(?: [A-Z][*]{3})?"),
        _mask_class("bank_account", _bank_account, "[*]{4}(?:[0-9A-Z]{2}){1,2}"),
        _mask_class("card", _card, "[*]{4}[0-9]{4}"),
        _mask_class("address", _hidden, "[*]{3}"),
        _mask_class("ip", _ip, "[0-9]{1,3}[.][0-9]{1,3}[.][0-9]{1,3}[.]0/24|(?:(?:[0-9a-f]{1,4}:){1,3}|:):/48"),
        _mask_class("device", _hidden, "[*]{3}"),
        _mask_class("free_text", _hidden, "[*]{3}"),
    )
}


def mask(cls: str, value: str) -> str:
    """The mask of `value` for a pii class. Idempotent: a well-formed mask stays as it is.

    Raises KeyError for a class that is not in the table.
    """
    entry = CLASSES[cls]
    return value if entry.matches(value) else entry.make(value)


def is_mask(cls: str, value: str) -> bool:
    """True when `value` already is a well-formed mask of the class."""
    return CLASSES[cls].matches(value) is not None


def mask_sql(cls: str, column: str) -> str:
    """Spark SQL text that returns `column` unchanged when it is null or a well-formed mask, and `***` otherwise.

    So `NOT (column <=> mask_sql(...))` finds every value that no mask function made. `column` is SQL text (quote
    odd names with backticks). Raises KeyError for a class that is not in the table.
    """
    form = CLASSES[cls].form
    return f"CASE WHEN {column} IS NULL OR {column} RLIKE '{form}' THEN {column} ELSE '{HIDDEN}' END"


def forms() -> dict[str, str]:
    """The exact form of each class's masks, as a pattern that Java and Python read alike."""
    return {name: one.form for name, one in CLASSES.items()}
