"""A one-time token in the address becomes a session.

The session is itself a token of the install's store (hashed at rest, with an end), so it outlives a restart of the
web process and can be revoked like any other. The page is for operators: it shows sums over all tenants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from caudal.tokens import Principal, TokenStore

if TYPE_CHECKING:
    from fastapi import Request, Response

COOKIE = "caudal_session"
LONGEST = 128


class Login:
    """Sessions of one install."""

    def __init__(self, tokens: TokenStore, session_s: float) -> None:
        self._tokens, self._session_s = tokens, session_s

    def exchange(self, token: str) -> str | None:
        """A new session for an operator's token, one-time or lasting; None for all else."""
        found = self._tokens.resolve(token) if 0 < len(token) <= LONGEST else None
        if found is None or found.role != "operator":
            return None
        return self._tokens.issue("operator", found.tenant, lifetime_s=self._session_s)

    def who(self, request: Request) -> Principal | None:
        """The operator whose session the request carries, or None."""
        session = request.cookies.get(COOKIE, "")
        found = self._tokens.resolve(session) if 0 < len(session) <= LONGEST else None
        return found if found is not None and found.role == "operator" else None

    def remember(self, response: Response, session: str, *, secure: bool) -> None:
        """Put the session into the browser: no script reads it, no other site sends it."""
        response.set_cookie(
            COOKIE, session, max_age=int(self._session_s), path="/", httponly=True, samesite="strict", secure=secure
        )

    def leave(self, request: Request, response: Response) -> None:
        """End the session here and in the store."""
        if session := request.cookies.get(COOKIE, ""):
            self._tokens.revoke(session)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
