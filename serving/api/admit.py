"""Who asks, and may they ask now: bearer token → principal, at the rate of that token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from caudal.tokens import Principal
from serving.api.errors import NoToken, OverQuota, TooFast, WrongRole

if TYPE_CHECKING:
    from fastapi import Request

    from serving.api.rates import Rates

# No key or signed token of an identity provider is longer; anything longer is not looked at.
LONGEST_TOKEN = 8192


class Resolver(Protocol):
    """What the token store is to this module."""

    def resolve(self, plain: str) -> Principal | None: ...


class Quota(Protocol):
    """Judges a tenant's use of this day: 0 when it may go on, else the seconds until it may."""

    def __call__(self, tenant: str) -> int: ...


class Gate:
    """Admits a request for a role, or raises NoToken, WrongRole, TooFast or OverQuota.

    `rates` holds each token, `tenants` all tokens of a tenant together, `quota` the tenant's day.
    """

    def __init__(
        self, tokens: Resolver, rates: Rates, tenants: Rates | None = None, quota: Quota = lambda tenant: 0
    ) -> None:
        self._tokens, self._rates, self._tenants, self._quota = tokens, rates, tenants, quota

    def admit(self, request: Request, *roles: str) -> Principal:
        """The principal of the request's bearer token, which must have one of `roles`.

        A tenant's role without a tenant is refused too: only operators may see all tenants.
        """
        principal = self.principal(request)
        if principal.role not in roles or (principal.role != "operator" and not principal.tenant):
            raise WrongRole
        if principal.tenant:
            if self._tenants is not None and (wait := self._tenants.take(principal.tenant)):
                raise TooFast(wait, "this tenant asks faster than its rate")
            if wait := self._quota(principal.tenant):
                raise OverQuota(wait)
        # read by the route, which counts the answer for this tenant
        request.state.tenant = principal.tenant
        return principal

    def still(self, request: Request) -> bool:
        """Whether the request's token is good now; for answers that last."""
        return self._resolve(request) is not None

    def principal(self, request: Request) -> Principal:
        """The principal of the request, whatever its role. Callers without a token share a bucket by address."""
        found = self._resolve(request)
        peer = request.client.host if request.client else "unknown"
        wait = self._rates.take(f"token:{found.id}" if found else f"peer:{peer}")
        if wait:
            raise TooFast(wait)
        if found is None:
            raise NoToken
        return found

    def _resolve(self, request: Request) -> Principal | None:
        scheme, _, plain = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and 0 < len(plain) <= LONGEST_TOKEN:
            return self._tokens.resolve(plain.strip())
        return None
