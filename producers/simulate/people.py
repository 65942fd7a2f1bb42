"""Brazilian people who do not exist: every identifier our contracts know, the same for the same seed and number.

CPFs are valid by their check digits, e-mail addresses end in domains reserved for examples, and all of it is treated as
personal data by everything downstream: it is what masking is tested with.
"""

from __future__ import annotations

import random
import threading
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any

DOMAINS = ("example.com", "example.org", "example.net")


@dataclass(frozen=True)
class Person:
    """One person. `devices` are the phones and computers they use; numbers are text as people write them."""

    number: int
    first_name: str
    last_name: str
    cpf: str
    email: str
    phone: str
    bank_account: str
    card: str
    devices: tuple[str, ...]
    ip: str
    street: str
    city: str
    state: str
    postcode: str

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}"


class People:
    """People by number, made on demand and remembered."""

    def __init__(self, seed: int, kind: str = "people") -> None:
        self._seed, self._kind = seed, kind
        self._known: dict[int, Person] = {}
        self._lock = threading.Lock()

    def __getitem__(self, number: int) -> Person:
        with self._lock:
            person = self._known.get(number)
            if person is None:
                person = self._known[number] = self._make(number)
            return person

    @cached_property
    def _faker(self) -> Any:
        # Late: Faker loads its providers for a third of a second, and only simulators need it.
        from faker import Faker

        return Faker("pt_BR")

    def _make(self, number: int) -> Person:
        fake = self._faker
        fake.seed_instance(f"{self._seed}|{self._kind}|{number}")
        draw = random.Random(f"{self._seed}|{self._kind}|{number}|numbers")
        first, last = fake.first_name(), fake.last_name()
        mailbox = f"{_plain(first)}.{_plain(last)}{number}"
        return Person(
            number=number,
            first_name=first,
            last_name=last,
            cpf=fake.cpf(),
            email=f"{mailbox}@{draw.choice(DOMAINS)}",
            phone=f"+55{draw.choice((11, 21, 31, 41, 51, 61, 71, 81))}9{draw.randrange(10**7, 10**8):08d}",
            bank_account=f"{draw.randrange(1, 9999):04d}-{draw.randrange(10**5, 10**6)}-{draw.randrange(10)}",
            card=fake.credit_card_number(card_type="visa16"),
            devices=tuple(f"dev-{draw.getrandbits(64):016x}" for _ in range(1 + draw.randrange(3))),
            ip=fake.ipv4_public(),
            street=fake.street_address(),
            city=fake.city(),
            state=fake.estado_sigla(),
            postcode=fake.postcode(),
        )


def _plain(text: str) -> str:
    """Lower-case letters without accents."""
    letters = unicodedata.normalize("NFKD", text)
    return "".join(c for c in letters.lower() if c.isascii() and c.isalnum())
