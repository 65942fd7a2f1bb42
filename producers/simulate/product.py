"""Page and feature events of a software service with a few hundred tenants in three tiers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from producers.simulate.people import People

CONTRACT = "product.event"
DAY_MS = 86_400_000
# Beyond the contract's lateness of three days.
LATE_MS = 5 * DAY_MS
PAGES = ("home", "orders", "catalogue", "reports", "settings", "billing", "help")
FEATURES = ("export_csv", "invite_member", "create_report", "bulk_edit", "api_key", "dark_mode", "webhook_test")


@dataclass(frozen=True)
class Tier:
    """Users a tenant has, how busy it is against the others, and its share of all tenants."""

    name: str
    users: int
    weight: float
    share: float


TIERS = (Tier("enterprise", 60, 12.0, 0.10), Tier("pro", 12, 3.0, 0.30), Tier("free", 2, 1.0, 0.60))


@dataclass(frozen=True)
class Tenant:
    """A customer of the service. `number` counts from 0 through all tiers."""

    number: int
    tier: Tier

    @property
    def id(self) -> str:
        return f"org-{self.number:04d}"


def tenants(count: int) -> list[Tenant]:
    """The tenants, big ones first; every tier has at least one."""
    big = max(1, round(count * TIERS[0].share))
    middle = max(1, round(count * TIERS[1].share))
    return [Tenant(n, TIERS[0] if n < big else TIERS[1] if n < big + middle else TIERS[2]) for n in range(count)]


class Usage:
    """What the users of all tenants do. Requests are numbered; a number always gives the same tenant and users."""

    def __init__(self, seed: int, count: int) -> None:
        self.tenants = tenants(count)
        self._weights = [tenant.tier.weight for tenant in self.tenants]
        self._seed, self._people = seed, People(seed, "users")

    def batch(self, number: int, size: int, now_ms: int) -> tuple[Tenant, list[dict[str, Any]]]:
        """The events of request `number`: one tenant's last seconds. They lack the tenant, which the token says."""
        draw = random.Random(f"{self._seed}|product|{number}")
        tenant = draw.choices(self.tenants, self._weights)[0]
        return tenant, [self._event(tenant, f"{number}-{i}", now_ms, draw) for i in range(size)]

    def _event(self, tenant: Tenant, identity: str, now_ms: int, draw: random.Random) -> dict[str, Any]:
        user = draw.randrange(tenant.tier.users)
        person = self._people[tenant.number * 100 + user]
        kind = "feature" if draw.random() < 0.3 else "page"
        return {
            "event_id": f"pe-{self._seed}-{identity}",
            "tier": tenant.tier.name,
            "event_type": kind,
            "name": draw.choice(FEATURES if kind == "feature" else PAGES),
            "user_id": f"u-{tenant.number:04d}-{user:03d}",
            "session_id": f"s-{draw.getrandbits(40):010x}",
            "user_email": person.email if draw.random() < 0.9 else None,
            "ip_address": person.ip,
            "device_id": person.devices[0],
            "properties": {"locale": "pt-BR", "build": str(draw.randint(410, 420))},
            "occurred_at": now_ms - draw.randrange(60_000),
        }


def late(event: dict[str, Any]) -> dict[str, Any]:
    """A further event that comes five days after it happened."""
    return event | {"event_id": f"{event['event_id']}-late", "occurred_at": event["occurred_at"] - LATE_MS}
