"""The reconciling poll: reads a shop's orders and customers by time of change and publishes what no webhook brought.

Pages follow the `Link` header. The cursor is the newest `updated_at` read, minus an overlap at the next start, because
a change may become visible a little after a later one. Throttling (429) is waited out as the shop says, and the call
limit header slows the poll down before that happens.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx2

from caudal.outgoing import Outgoing
from producers.connector import Batch, Cursor, Record, Unfit
from producers.shopify.bindings import Binding
from producers.shopify.errors import BindingError, ShapeError, ShopAway
from producers.shopify.mapping import CUSTOMER, ORDER, map_payload

RESOURCES = (("orders", ORDER, "&status=any"), ("customers", CUSTOMER, ""))
API_VERSION = "2024-10"
PAGE = 250
# Shop time that is read again each time: changes become visible out of order by seconds, not minutes.
OVERLAP_MS = 5 * 60 * 1000
# From this share of the bucket on, wait one leak before the next call.
BUSY = 0.8
PATIENCE_S = 60.0
_NEXT = re.compile(r'<([^>]+)>;\s*rel="next"')

Known = Callable[[Collection[str]], set[str]]
"""Which of these event ids have reached Kafka already (the receiver's inbox, where it is on this host)."""


@dataclass(frozen=True)
class _Page:
    items: list[Any]
    following: str | None
    observed_ms: int


class ShopPoll:
    """A `connector.Source` for one shop."""

    def __init__(
        self,
        binding: Binding,
        client: httpx2.Client,
        outgoing: Outgoing,
        *,
        fields: Callable[[str], Collection[str]],
        known: Known | None = None,
        stop: threading.Event | None = None,
        page_size: int = PAGE,
    ) -> None:
        """`fields(contract)` are the fields of its newest version; `stop` ends any waiting."""
        self._binding, self._client, self._outgoing = binding, client, outgoing
        self._fields, self._known, self._size = fields, known, page_size
        self._stop = stop or threading.Event()
        self._base = binding.api_url.rstrip("/")
        self.throttled = 0

    @property
    def name(self) -> str:
        return f"shopify:{self._binding.shop_id}"

    @property
    def origin(self) -> str:
        return f"{self._binding.origin or 'shopify'}:{API_VERSION}"

    def check(self) -> None:
        """Raises BindingError without address or token."""
        if urlsplit(self._base).scheme not in ("http", "https") or not self._binding.api_token.get_secret_value():
            raise BindingError(
                "a shop without address or token of its API cannot be polled",
                where=self._binding.shop_id,
                fix="set api_url and api_token in shops.json",
            )

    def read(self, cursor: Cursor | None) -> Iterator[Batch]:
        """One batch a page: orders first, then customers. Raises ShopAway."""
        marks = {name: int((cursor or {}).get(name, 0)) for name, _, _ in RESOURCES}
        for resource, contract, extra in RESOURCES:
            since = max(0, marks[resource] - OVERLAP_MS)
            query = urlencode({"limit": self._size, "order": "updated_at asc", "updated_at_min": _iso(since)}) + extra
            url: str | None = f"{self._base}/admin/api/{API_VERSION}/{resource}.json?{query}"
            while url is not None and not self._stop.is_set():
                page = self._page(url, resource)
                items, newest = self._map(page, resource, contract)
                marks[resource] = max(marks[resource], newest)
                yield Batch(self._missing(items), dict(marks))
                url = page.following

    def _map(self, page: _Page, resource: str, contract: str) -> tuple[list[Record | Unfit], int]:
        fields, newest, items = self._fields(contract), 0, list[Record | Unfit]()
        for number, payload in enumerate(page.items):
            try:
                mapped = map_payload(contract, payload, self._binding.shop_id, fields)
            except ShapeError as error:
                position = f"poll:{resource}"
                raw = json.dumps(payload, default=str).encode()
                items.append(
                    Unfit(contract, self._binding.shop_id, error.code, f"[{number}].{error.path}", position, raw)
                )
                continue
            newest = max(newest, mapped.changed_ms)
            items.append(Record(contract, mapped.event, page.observed_ms, f"poll:{resource}"))
        return items, newest

    def _missing(self, items: list[Record | Unfit]) -> tuple[Record | Unfit, ...]:
        if self._known is None:
            return tuple(items)
        there = self._known([str(item.event["event_id"]) for item in items if isinstance(item, Record)])
        return tuple(item for item in items if isinstance(item, Unfit) or item.event["event_id"] not in there)

    def _page(self, url: str, resource: str) -> _Page:
        response = self._patiently(url)
        try:
            body = json.loads(response.content, parse_float=Decimal)
            items = body[resource]
            observed = parsedate_to_datetime(response.headers["date"])
        except (ValueError, KeyError, TypeError) as error:
            raise ShopAway("the shop's answer is no listing", where=self.name, why=type(error).__name__) from None
        following = _NEXT.search(response.headers.get("link", ""))
        url_next = following.group(1) if following else None
        if url_next is not None and not url_next.startswith(f"{self._base}/"):
            # The token goes with every call: never to an address that an answer names.
            raise ShopAway("the next page lies on another host", where=self.name)
        self._slow_down(response.headers.get("x-shopify-shop-api-call-limit", ""))
        return _Page(items, url_next, round(observed.timestamp() * 1000))

    def _patiently(self, url: str) -> httpx2.Response:
        waited = 0.0
        while True:
            response = self._outgoing.call(urlsplit(self._base).netloc, self._get, url)
            if response.status_code != 429:
                return response
            self.throttled += 1
            pause = _seconds(response.headers.get("retry-after"))
            waited += pause
            if waited > PATIENCE_S or self._stop.wait(pause):
                raise ShopAway("the shop throttles us", where=self.name, retry_after=pause)

    def _get(self, url: str) -> httpx2.Response:
        token = self._binding.api_token.get_secret_value()
        try:
            response = self._client.get(url, headers={"X-Shopify-Access-Token": token})
        except httpx2.TransportError as error:
            raise ShopAway("the shop does not answer", where=self.name, why=type(error).__name__) from error
        if response.status_code in (401, 403):
            raise BindingError("the shop refuses our token", where=self.name, fix="set a valid api_token in shops.json")
        if response.status_code not in (200, 429):
            raise ShopAway("the shop answers with an error", where=self.name, why=str(response.status_code))
        return response

    def _slow_down(self, limit: str) -> None:
        used, _, size = limit.partition("/")
        if used.isdigit() and size.isdigit() and int(used) >= BUSY * int(size):
            self._stop.wait(0.5)


def _seconds(text: str | None) -> float:
    try:
        return min(max(float(text or 2.0), 0.1), 30.0)
    except ValueError:
        return 2.0


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat(timespec="seconds")
