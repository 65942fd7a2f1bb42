"""What a caller can be told.

    ApiError                      a coded answer with an HTTP status
    ├── NoToken             401   no token, or one that nobody issued, or an expired one
    ├── WrongRole           403   the token's role may not use this route
    ├── NotThere            404   no such mart, row or route for this token (other tenants' objects too)
    ├── BadQuery            400   a parameter does not fit; names the nearest that would
    ├── TooLarge            413   the question or its answer is above a bound
    ├── TooFast             429   above the rate of the token or its tenant
    │   └── OverQuota       429   the tenant's quota of the day is used up
    └── NotPublished        503   gold has not been published yet

The text never repeats a value that the caller or an event wrote, so an error cannot carry a personal value.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from caudal.errors import CaudalError


class ApiError(CaudalError):
    """An answer that is an error: `status` is the HTTP status, `headers` go with it."""

    code = "CDL-API"
    status = 500

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        why: str = "",
        fix: str = "",
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(what, where=where, why=why, fix=fix, code=code)
        self.headers = headers or {}


class NoToken(ApiError):
    """Always the same words: whether a token once existed is nobody's business."""

    code, status = "CDL-TOKEN", 401

    def __init__(self) -> None:
        super().__init__(
            "a valid bearer token is needed",
            fix="send `Authorization: Bearer <token>`; an operator issues one",
            headers={"WWW-Authenticate": "Bearer"},
        )


class WrongRole(ApiError):
    code, status = "CDL-ROLE", 403

    def __init__(self) -> None:
        super().__init__("the token's role may not use this route", fix="ask an operator for another token")


class NotThere(ApiError):
    """The same words for what never was and for what belongs to somebody else."""

    code, status = "CDL-NOT-FOUND", 404

    def __init__(self, what: str = "there is no such object", *, fix: str = "") -> None:
        super().__init__(what, fix=fix)


class BadQuery(ApiError):
    code, status = "CDL-BAD-QUERY", 400


class TooLarge(ApiError):
    code, status = "CDL-TOO-LARGE", 413


class TooFast(ApiError):
    code, status, retryable = "CDL-RATE", 429, True

    def __init__(self, retry_after: int, what: str = "this token asks faster than its rate") -> None:
        super().__init__(
            what,
            fix=f"wait {retry_after} s",
            headers={"Retry-After": str(retry_after)},
        )


class OverQuota(TooFast):
    code = "CDL-QUOTA"

    def __init__(self, retry_after: int) -> None:
        super().__init__(retry_after, "the tenant's quota of this day is used up")


class NotPublished(ApiError):
    code, status, retryable = "CDL-NOT-PUBLISHED", 503, True

    def __init__(self, why: str) -> None:
        super().__init__(
            "gold has not been published yet",
            why=why,
            fix="try again when the next cycle has passed its gate",
            headers={"Retry-After": "5"},
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names what the caller may have meant; only names from `known` appear in it."""
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"one of: {', '.join(names[:20])}" if names else ""
