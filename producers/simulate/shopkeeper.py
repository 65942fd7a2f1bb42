"""What happens in the simulated shops and how badly it is reported: decided by seed and change number alone."""

from __future__ import annotations

import json
import random
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

from producers.simulate.payloads import VERSIONS, Buyer, change, customer, order, refund
from producers.simulate.people import People

SHOP_NAMES = ("aurora", "boto", "cerrado", "dunas", "encontro", "folia", "garoa", "horizonte")
BUYERS_PER_SHOP = 120
OPEN_ORDERS = 60
# A shop's ids start this far apart, so that no two shops ever share one; all stay below 2^53, exact in any JSON reader.
IDS_PER_SHOP = 10**11

Fate = Literal["delivered", "lost", "forged", "torn", "misfit", "negative"]
# Of a thousand changes so many are never delivered, wrongly signed, cut off, without a field, or with a negative total.
FATES: tuple[tuple[Fate, float], ...] = (
    ("lost", 0.020),
    ("forged", 0.010),
    ("torn", 0.004),
    ("misfit", 0.004),
    ("negative", 0.004),
)
REPEATED, HELD_BACK = 0.10, 0.05


@dataclass(frozen=True)
class Change:
    """A new state in a shop. `repeats` further deliveries follow; `held` changes pass before the first one."""

    number: int
    shop: str
    topic: str
    version: str
    payload: dict[str, Any]
    fate: Fate
    repeats: int = 0
    held: int = 0

    def body(self) -> bytes:
        """The body as it is sent: for some fates not what the shop really holds."""
        if self.fate == "torn":
            text = json.dumps(self.payload).encode()
            return text[: len(text) * 2 // 3]
        if self.fate == "misfit":
            return json.dumps({k: v for k, v in self.payload.items() if k != "created_at"}).encode()
        if self.fate == "negative" and "total_price" in self.payload:
            return json.dumps(self.payload | {"total_price": "-" + self.payload["total_price"]}).encode()
        return json.dumps(self.payload).encode()


class Shopkeeper:
    """One shop: its buyers, its open orders, its next change."""

    def __init__(self, index: int, seed: int) -> None:
        self.index, self.name = index, SHOP_NAMES[index]
        self._seed = seed
        self._people = People(seed, f"shop {self.name}")
        self._open: deque[tuple[str, dict[str, Any]]] = deque(maxlen=OPEN_ORDERS)
        self._orders_of: dict[int, int] = {}
        self._joined_ms: dict[int, int] = {}

    @property
    def shop_id(self) -> str:
        return f"loja-{self.name}"

    @property
    def domain(self) -> str:
        return f"loja-{self.name}.myshopify.com"

    def next(self, number: int, now_ms: int) -> Change:
        """What change number `number` is. Numbers are shared by all shops and never used twice."""
        draw = random.Random(f"{self._seed}|shops|{number}")
        roll = draw.random()
        if roll < 0.45 or not self._open:
            return self._new_order(number, now_ms, draw)
        if roll < 0.82:
            return self._changed_order(number, now_ms, draw)
        if roll < 0.90:
            version, sold = draw.choice(self._open)
            payload = refund(version, sold, self._id(number), now_ms, draw)
            return self._reported(number, "refunds/create", version, payload, draw)
        return self._customer(number, now_ms, draw)

    def _new_order(self, number: int, now_ms: int, draw: random.Random) -> Change:
        version = self._version(draw)
        buyer = None if draw.random() < 0.06 else self._buyer(draw)
        payload = order(version, self._id(number), buyer, now_ms, draw)
        if buyer is not None:
            self._orders_of[buyer.number] = self._orders_of.get(buyer.number, 0) + 1
        self._open.append((version, payload))
        return self._reported(number, "orders/create", version, payload, draw)

    def _changed_order(self, number: int, now_ms: int, draw: random.Random) -> Change:
        place = draw.randrange(len(self._open))
        version, payload = self._open[place]
        topic = draw.choices(("orders/paid", "orders/updated", "orders/cancelled"), (6, 3, 1))[0]
        changed = change(payload, topic, now_ms)
        self._open[place] = (version, changed)
        return self._reported(number, topic, version, changed, draw)

    def _customer(self, number: int, now_ms: int, draw: random.Random) -> Change:
        version, buyer = self._version(draw), self._buyer(draw)
        topic = "customers/update" if buyer.number in self._joined_ms else "customers/create"
        joined = self._joined_ms.setdefault(buyer.number, now_ms)
        orders = self._orders_of.get(buyer.number, 0)
        payload = customer(version, topic, buyer, joined, now_ms, orders)
        return self._reported(number, topic, version, payload, draw)

    def _reported(self, number: int, topic: str, version: str, payload: dict[str, Any], draw: random.Random) -> Change:
        fate: Fate = "delivered"
        roll = draw.random()
        # The poll reads orders and customers; a lost or spoilt refund could not be found again.
        if topic != "refunds/create":
            for candidate, share in FATES:
                if roll < share:
                    fate = candidate
                    break
                roll -= share
        repeats = 1 + draw.randrange(2) if fate == "delivered" and draw.random() < REPEATED else 0
        held = 3 + draw.randrange(6) if draw.random() < HELD_BACK else 0
        return Change(number, self.name, topic, version, payload, fate, repeats, held)

    def _version(self, draw: random.Random) -> str:
        """Each shop has its own API version, but some of its apps lag behind and some are ahead."""
        own = 1 + self.index % 3
        return VERSIONS[own + draw.choices((0, -1, 1), (8, 1, 1))[0]]

    def _buyer(self, draw: random.Random) -> Buyer:
        number = draw.randrange(BUYERS_PER_SHOP)
        return Buyer(IDS_PER_SHOP * (self.index + 1) + number, self._people[number])

    def _id(self, number: int) -> int:
        return IDS_PER_SHOP * (self.index + 1) + 1_000_000 + number
