"""The reconciling poll against a shop that pages and throttles: it finds what no webhook brought, and nothing twice."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import httpx2
import pytest

from caudal.outgoing import Outgoing, Policy
from caudal.settings import Settings
from producers.connector import Puller, Report, States, sealed
from producers.intake.shopify import build_router
from producers.intake.shopify_inbox import Inbox
from producers.publish import Publisher
from producers.rejected import Rejected
from producers.settings import ProducersSettings
from producers.shopify.errors import BindingError, ShopAway
from producers.shopify.fake_shop import FakeShops
from producers.shopify.poll import ShopPoll
from producers.simulate.payloads import Buyer, change, customer, order
from producers.simulate.people import People
from tests.support.shops import COMMERCE, Shop, bind, release, serve

pytestmark = pytest.mark.kafka
NOW = 1_767_225_600_000


@dataclass
class World:
    """A shop that pages, its poll, and the install it reports to."""

    shop: Shop
    shops: FakeShops
    publisher: Publisher
    states: States
    inbox: Inbox

    def poll(self, page_size: int = 4) -> tuple[Report, ShopPoll]:
        own = ProducersSettings()
        with httpx2.Client(timeout=20) as client:
            source = ShopPoll(
                self.shop.binding,
                client,
                Outgoing("poll", Policy(attempts=2, first_wait_s=0.01)),
                fields=lambda contract: (),
                known=self.inbox.sent,
                page_size=page_size,
            )
            refuse = sealed(Rejected(self.publisher, own))
            return Puller(source, self.publisher, self.states, refuse=refuse).run(), source

    def put(self, count: int, minutes: int = 0) -> list[dict[str, object]]:
        people, draw = People(1, "poll"), random.Random(1)
        payloads = [
            order("2024-10", 1_000 + n, Buyer(500 + n, people[n]), NOW + (minutes + n) * 60_000, draw)
            for n in range(count)
        ]
        for payload in payloads:
            self.shops.put(self.shop.binding.domain, "orders", payload)
        return payloads


@pytest.fixture
def world(settings: Settings) -> Iterator[World]:
    release(settings, *COMMERCE)
    shops = FakeShops(lambda: NOW + 3_600_000).start()
    name = f"shop-{uuid.uuid4().hex[:12]}"
    address = shops.open(f"{name}.myshopify.com", "token")
    shop = bind(settings, name, api_url=address, api_token="token")
    publisher = Publisher(settings, source="shopify")
    found = World(shop, shops, publisher, States(settings.data_dir), Inbox.of(settings))
    yield found
    shops.stop()
    found.publisher.close()
    found.states.close()
    found.inbox.close()
    shop.client.close()


def test_undelivered_orders_are_found(world: World) -> None:
    """Of ten orders in three pages, behind a throttle, exactly those without a webhook are published, once."""
    # One call a second: the poll's own caution, half a second a call, is not enough here.
    world.shops.open(world.shop.binding.domain, "token", bucket=1, leak_per_s=1)
    payloads = world.put(10)
    rejected = Rejected(world.publisher, ProducersSettings())
    with serve(build_router(world.shop.settings, world.publisher, rejected)) as world.shop.url:
        delivered = [n for n in range(10) if n % 3]
        for n in delivered:
            assert world.shop.send(payloads[n], webhook_id=f"w{n}").status_code == 200
    report, source = world.poll()
    assert (report.read, report.published, report.refused) == (4, 4, {})
    assert source.throttled == world.shops.throttled(world.shop.binding.domain) > 0
    messages = world.shop.arrived()
    assert len(messages) == 10 == len({message.wire["event_id"] for message in messages if message.wire})
    polled = [m.wire["origin"] for m in messages if m.wire and m.wire["origin"]["position"] == "poll:orders"]
    assert len(polled) == 4
    # The shop's own clock is what it was observed at.
    assert {origin["observed_at"].timestamp() for origin in polled} == {(NOW + 3_600_000) / 1000}


def test_the_next_poll_reads_what_changed(world: World) -> None:
    """A second poll goes on from the newest change, and a state read again is the same event."""
    payloads = world.put(6)
    assert world.poll()[0].published == 6
    paid = change(payloads[2], "orders/paid", NOW + 30 * 60_000)
    world.shops.put(world.shop.binding.domain, "orders", paid)
    again = world.poll()[0]
    # The last five minutes are read again, so that a change that became visible late is not missed.
    assert 1 <= again.published < 7
    ids = [message.wire["event_id"] for message in world.shop.arrived() if message.wire]
    assert len(set(ids)) == 7
    buyer = Buyer(77, People(1, "poll")[77])
    world.shops.put(world.shop.binding.domain, "customers", customer("2024-10", "customers/create", buyer, NOW, NOW, 0))
    world.poll()
    assert len(world.shop.arrived("commerce.customer")) == 1


def test_what_does_not_fit_is_kept_and_passed(world: World) -> None:
    """An order that cannot be mapped is sealed on caudal.rejected, and the others arrive."""
    payloads = world.put(3)
    world.shops.put(world.shop.binding.domain, "orders", payloads[1] | {"total_price": "much"})
    for _ in range(2):
        assert world.poll()[0].refused == {"CDL-SHAPE": 1}
    assert len({message.key[1] for message in world.shop.arrived()}) == 2
    kept = {message.wire["event_id"] for message in world.shop.arrived("caudal.rejected") if message.wire}
    assert len(kept) <= 2


def test_a_shop_that_refuses_or_is_away_says_so(world: World) -> None:
    """A wrong token is a configuration error; a shop that is away is tried again later; the cursor stays."""
    world.put(3)
    good = world.shop.binding
    world.shop.binding = good.model_copy(update={"api_token": type(good.api_token)("wrong")})
    with pytest.raises(BindingError):
        world.poll()
    world.shop.binding = good.model_copy(update={"api_url": "http://127.0.0.1:9/shop"})
    with pytest.raises(ShopAway):
        world.poll()
    world.shop.binding = good
    assert world.poll()[0].published == 3
