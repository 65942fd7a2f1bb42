"""Local shops that answer like Shopify's REST API: token, paging by `Link` and `page_info`, call limit and throttling.

Shipped beside the real connector, so that the reconciling poll can be tried and tested without a network. One server
carries several shops, each below `/<domain>`. Times are the caller's: the `Date` header tells the shop's own clock,
which in the demo is simulated time.
"""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from producers.shopify.fields import time_ms

# Shopify's leaky bucket for REST: 40 calls, two leak out each second.
BUCKET, LEAK_PER_S = 40, 2.0
# Latest states that a shop remembers per kind; some 12 kB each.
REMEMBERED = 500


@dataclass
class Shop:
    """One shop's latest states by kind (`orders`, `customers`) and id, as JSON text."""

    domain: str
    token: str
    bucket: float = BUCKET
    leak_per_s: float = LEAK_PER_S
    used: float = 0.0
    drained: float = field(default_factory=time.monotonic)
    states: dict[str, OrderedDict[str, tuple[int, bytes]]] = field(default_factory=dict)
    throttled: int = 0

    def put(self, kind: str, payload: dict[str, Any]) -> None:
        """Take over the state of an entity; the oldest ones are forgotten."""
        kept = self.states.setdefault(kind, OrderedDict())
        identity = str(payload["id"])
        kept.pop(identity, None)
        kept[identity] = (time_ms(payload, "updated_at") or 0, json.dumps(payload).encode())
        while len(kept) > REMEMBERED:
            kept.popitem(last=False)

    def pour(self) -> bool:
        """Count one call; False when the bucket is full."""
        now = time.monotonic()
        self.used = max(0.0, self.used - (now - self.drained) * self.leak_per_s)
        self.drained = now
        if self.used + 1 > self.bucket:
            self.throttled += 1
            return False
        self.used += 1
        return True

    def page(self, kind: str, since_ms: int, after: tuple[int, str], limit: int) -> tuple[list[bytes], Any]:
        """States since `since_ms` in order of change, behind the mark `after`; and the mark to go on from, or None."""
        ordered = sorted((ms, identity, body) for identity, (ms, body) in self.states.get(kind, {}).items())
        found = [row for row in ordered if row[0] >= since_ms and row[:2] > after]
        rest = found[:limit]
        more = [rest[-1][0], rest[-1][1]] if len(found) > limit else None
        return [body for _, _, body in rest], more


class FakeShops:
    """The server. `now_ms` is the shops' own clock."""

    def __init__(self, now_ms: Callable[[], int], host: str = "127.0.0.1", port: int = 0) -> None:
        self._lock = threading.Lock()
        self._shops: dict[str, Shop] = {}
        self._now_ms = now_ms
        self._server = ThreadingHTTPServer((host, port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="fake-shop", daemon=True)

    def open(self, domain: str, token: str, bucket: float = BUCKET, leak_per_s: float = LEAK_PER_S) -> str:
        """Add a shop and return its API address (without a trailing slash)."""
        with self._lock:
            self._shops[domain] = Shop(domain, token, bucket, leak_per_s)
        return f"{self.url}/{domain}"

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def put(self, domain: str, kind: str, payload: dict[str, Any]) -> None:
        """Take over the state of an order (`orders`) or customer (`customers`)."""
        with self._lock:
            self._shops[domain].put(kind, payload)

    def throttled(self, domain: str) -> int:
        """How many calls were answered with 429."""
        with self._lock:
            return self._shops[domain].throttled

    def start(self) -> FakeShops:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)

    def answer(self, target: str, token: str | None) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for a GET."""
        url = urlsplit(target)
        parts = url.path.strip("/").split("/")
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self._lock:
            shop = self._shops.get(parts[0])
            if shop is None or len(parts) != 5 or parts[1:3] != ["admin", "api"] or not parts[4].endswith(".json"):
                return 404, {}, b'{"errors":"Not Found"}'
            if token != shop.token:
                return 401, {}, b'{"errors":"[API] Invalid API key or access token"}'
            fits = shop.pour()
            limit = {"X-Shopify-Shop-Api-Call-Limit": f"{math.ceil(shop.used)}/{shop.bucket:g}"}
            if not fits:
                wait = {"Retry-After": f"{1 / shop.leak_per_s:.1f}"}
                return 429, limit | wait, b'{"errors":"Exceeded 2 calls per second for api client."}'
            kind = parts[4].removesuffix(".json")
            return self._listing(shop, kind, url.path, query, limit)

    def _listing(
        self, shop: Shop, kind: str, path: str, query: dict[str, str], headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        size = min(int(query.get("limit", "50")), 250)
        since, after = 0, (-1, "")
        if "page_info" in query:
            if set(query) - {"page_info", "limit", "fields"}:
                return 400, headers, b'{"errors":{"page_info":"Invalid value."}}'
            mark = json.loads(base64.urlsafe_b64decode(query["page_info"]))
            since, after = mark["since"], (mark["after"][0], mark["after"][1])
        elif "updated_at_min" in query:
            since = time_ms(query, "updated_at_min") or 0
        bodies, more = shop.page(kind, since, after, size)
        if more is not None:
            info = base64.urlsafe_b64encode(json.dumps({"since": since, "after": more}).encode()).decode()
            following = urlencode({"limit": size, "page_info": info})
            headers = headers | {"Link": f'<{self.url}{path}?{following}>; rel="next"'}
        return 200, headers, b'{"' + kind.encode() + b'":[' + b",".join(bodies) + b"]}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        shops = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, headers, body = shops.answer(self.path, self.headers.get("X-Shopify-Access-Token"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return formatdate(shops._now_ms() / 1000 if timestamp is None else timestamp, usegmt=True)

            def log_message(self, format: str, *args: Any) -> None:
                """A shop's access log is nobody's concern here."""

        return Handler
