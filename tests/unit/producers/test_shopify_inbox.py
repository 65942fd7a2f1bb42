"""The inbox remembers deliveries until long after a shop has stopped repeating them."""

from dataclasses import replace
from pathlib import Path

from producers.intake.shopify_inbox import KEPT_MS, Delivery, Inbox, delivery_id

SENT, REFUSED = Delivery("sent"), Delivery("refused", 422, "CDL-SHAPE", "total_price")


def test_a_delivery_is_new_once(tmp_path: Path) -> None:
    """The first claim is new, the next ones meet what the first became."""
    inbox = Inbox(tmp_path / "inbox.sqlite")
    assert inbox.claim("shop", "d1", 1) is None
    assert inbox.claim("shop", "d1", 2) == Delivery("pending", 0, at_ms=1)
    inbox.settle("shop", "d1", SENT, "event-1")
    assert inbox.claim("shop", "d1", 3) == replace(SENT, at_ms=1)
    assert inbox.claim("other shop", "d1", 3) is None
    inbox.close()


def test_pending_survives_the_process(tmp_path: Path) -> None:
    """A delivery that was never settled is still pending after a restart, and one that was refused stays refused."""
    first = Inbox(tmp_path / "inbox.sqlite")
    first.claim("shop", "d1", 1)
    first.claim("shop", "d2", 1)
    first.settle("shop", "d2", REFUSED)
    second = Inbox(tmp_path / "inbox.sqlite")
    assert second.claim("shop", "d1", 2) == Delivery("pending", 0, at_ms=1)
    assert second.claim("shop", "d2", 2) == replace(REFUSED, at_ms=1)
    first.close()
    second.close()


def test_it_knows_what_webhooks_brought(tmp_path: Path) -> None:
    """Only acknowledged events count as brought."""
    inbox = Inbox(tmp_path / "inbox.sqlite")
    for name in ("d1", "d2"):
        inbox.claim("shop", name, 1)
    inbox.settle("shop", "d1", SENT, "event-1")
    assert inbox.sent(["event-1", "event-2"]) == {"event-1"}
    assert inbox.sent([]) == set()
    inbox.close()


def test_it_forgets_after_a_week(tmp_path: Path) -> None:
    """Deliveries older than eight days are dropped when a process starts to work."""
    first = Inbox(tmp_path / "inbox.sqlite")
    first.claim("shop", "d1", 0)
    first.close()
    second = Inbox(tmp_path / "inbox.sqlite")
    assert second.claim("shop", "d1", KEPT_MS + 1) is None
    second.close()


def test_identity_covers_what_is_not_signed() -> None:
    """Another id, topic or body is another delivery; parts cannot run into each other."""
    ids = {
        delivery_id("w1", "orders/create", b"{}"),
        delivery_id("w2", "orders/create", b"{}"),
        delivery_id("w1", "orders/paid", b"{}"),
        delivery_id("w1", "orders/create", b"{ }"),
        delivery_id("w1o", "rders/create", b"{}"),
    }
    assert len(ids) == 5
