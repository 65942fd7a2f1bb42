"""Shopify's signature: base64 of HMAC-SHA256 over the raw body, keyed with the shop's secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence


def sign(secret: str, body: bytes) -> str:
    """The value of `X-Shopify-Hmac-SHA256` for a body."""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def is_signed(given: Sequence[str], body: bytes, secrets: Iterable[str]) -> bool:
    """Whether the header was given exactly once and one of the secrets made it.

    Every secret is tried whatever the first says, each in constant time; text is compared, so that other spellings of
    the same bytes (hexadecimal, URL-safe or padded otherwise) are no signature.
    """
    if len(given) != 1:
        return False
    wanted = given[0].encode("utf-8", "surrogateescape")
    verdicts = [hmac.compare_digest(sign(secret, body).encode(), wanted) for secret in secrets]
    return any(verdicts)
