"""Who asks, and may they ask now: bearer token → principal, at the rate of that token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from caudal.tokens import Principal
from serving.api.errors import NoToken, TooFast, WrongRole

if TYPE_CHECKING:
    from fastapi import Request

    from serving.api.rates import Rates

# No token that `caudal.tokens` makes is longer; anything longer is not looked up.
LONGEST_TOKEN = 128


class Resolver(Protocol):
    """What the token store is to this module."""

    def resolve(self, plain: str) -> Principal | None: ...


class Gate:
    """Admits a request for a role, or raises NoToken, WrongRole or TooFast."""

    def __init__(self, tokens: Resolver, rates: Rates) -> None:
        self._tokens, self._rates = tokens, rates

    def admit(self, request: Request, *roles: str) -> Principal:
        """The principal of the request's bearer token, which must have one of `roles`.

        A tenant's role without a tenant is refused too: only operators may see all tenants.
        """
        principal = self.principal(request)
        if principal.role not in roles or (principal.role != "operator" and not principal.tenant):
            raise WrongRole
        return principal

    def principal(self, request: Request) -> Principal:
        """The principal of the request, whatever its role. Callers without a token share a bucket by address."""
        scheme, _, plain = request.headers.get("authorization", "").partition(" ")
        found = None
        if scheme.lower() == "bearer" and 0 < len(plain) <= LONGEST_TOKEN:
            found = self._tokens.resolve(plain.strip())
        peer = request.client.host if request.client else "unknown"
        wait = self._rates.take(f"token:{found.id}" if found else f"peer:{peer}")
        if wait:
            raise TooFast(wait)
        if found is None:
            raise NoToken
        return found
