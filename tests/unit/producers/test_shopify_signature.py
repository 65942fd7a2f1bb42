"""Shopify's signature: the published vector, and everything that only looks like it."""

import base64
import gzip

import pytest

from producers.intake.shopify_signature import is_signed, sign

SECRET = "s3cr3t"
BODY = b'{"id":820982911946154508,"email":"jon@example.com"}'
SIGNATURE = "cZe21qCFFLWBTMyyWqb6xznZbO0ZA5ydkZ/KUxk6L4U="


def test_the_known_vector() -> None:
    """Our signature is the one that Shopify makes."""
    assert sign(SECRET, BODY) == SIGNATURE
    assert is_signed([SIGNATURE], BODY, [SECRET])


def test_every_current_secret_counts() -> None:
    """While a secret is rotated, old and new are both good."""
    assert is_signed([SIGNATURE], BODY, ["new", SECRET])
    assert not is_signed([SIGNATURE], BODY, ["new"])


@pytest.mark.parametrize(
    "given",
    [
        [],
        [""],
        [SIGNATURE, SIGNATURE],
        [f"{SIGNATURE}, {SIGNATURE}"],
        [base64.b64decode(SIGNATURE).hex()],
        [SIGNATURE.rstrip("=")],
        [SIGNATURE.replace("/", "_")],
        [SIGNATURE.swapcase()],
        ["\udce9" + SIGNATURE],
    ],
    ids=["missing", "empty", "doubled", "joined", "hex", "unpadded", "url-safe", "case", "bytes"],
)
def test_another_spelling_is_no_signature(given: list[str]) -> None:
    """Missing, doubled, hexadecimal or otherwise spelt headers are refused."""
    assert not is_signed(given, BODY, [SECRET])


@pytest.mark.parametrize(
    "body", [BODY[:-1] + b"~", BODY.replace(b",", b", "), b"\xef\xbb\xbf" + BODY, gzip.compress(BODY), b""]
)
def test_the_raw_bytes_are_signed(body: bytes) -> None:
    """A flipped bit, other spacing, a byte order mark or compression make it another body."""
    assert not is_signed([SIGNATURE], body, [SECRET])
