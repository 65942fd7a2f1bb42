"""Where the next page starts, signed: a caller can neither choose a version nor move to another's rows.

A cursor names the table's path and version, so that all pages of one walk come from one published version even
while newer ones appear. It is bound to the tenant and to the query, and it expires before retention could take
the version away.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass

from serving.api.errors import BadQuery


@dataclass(frozen=True)
class Place:
    """A page's start: `offset` rows into `path` at `version`, published at `published_ms` (epoch)."""

    mart: str
    path: str
    version: int
    published_ms: int
    offset: int
    bound: str
    expires: float


def binding(tenant: str | None, parameters: list[tuple[str, str]]) -> str:
    """A digest of who asks and for what; a cursor of one query is refused by another."""
    text = json.dumps([tenant, sorted(parameters)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


class Cursors:
    """Makes and checks cursors under one key."""

    def __init__(self, key: str = "") -> None:
        self._key = key.encode() or secrets.token_bytes(32)

    def write(self, place: Place) -> str:
        """The place as URL-safe text: base64(JSON) and its HMAC."""
        body = json.dumps(asdict(place), separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(body) + body).decode().rstrip("=")

    def read(self, text: str, *, mart: str, bound: str, now: float) -> Place:
        """The place that `write` was given. Raises BadQuery for all else, in the same words."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _refused() from None
        signature, body = raw[:16], raw[16:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise _refused()
        place = Place(**json.loads(body))
        if place.mart != mart or place.bound != bound or place.expires < now:
            raise _refused()
        return place

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:16]


def _refused() -> BadQuery:
    return BadQuery(
        "the cursor cannot be used",
        code="CDL-CURSOR",
        why="it belongs to another query, has expired, or was changed",
        fix="ask for the first page again",
    )
