"""Tokens of an identity provider: signed JWTs, judged by fixed algorithms, issuer, audience and time.

The provider's public keys (JWKS) are fetched when a token names a key that is not known, at most once per
`refetch_s`, and kept for `keep_s`; while the provider is away, known keys stay good for `outage_s`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from pydantic import Field

from caudal import log
from caudal.errors import SettingsError
from caudal.settings import Section
from caudal.tokens import Principal, Role

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

# Public keys only: with a symmetric algorithm, whoever can read the provider's public key could sign.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"})
MOST_BYTES = 1 << 20


class OidcSettings(Section):
    """Section `[serving.api.oidc]`; without an issuer only keys of the install's own store are known."""

    issuer: str = ""
    audience: str = ""
    jwks_url: str = ""
    """Where the provider's keys are; empty: what `<issuer>/.well-known/openid-configuration` says."""
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    tenant_claim: str = "tenant"
    role_claim: str = "caudal_role"
    """Claim that holds `reader` or another role of `caudal.tokens`; `operator` must have no tenant claim."""
    skew_s: int = Field(default=60, ge=0, le=300)
    """How far the provider's clock may be from ours."""
    keep_s: float = Field(default=300.0, gt=0)
    refetch_s: float = Field(default=10.0, gt=0)
    outage_s: float = Field(default=86_400.0, gt=0)
    timeout_s: float = Field(default=3.0, gt=0)


class Provider:
    """Resolves JWTs of one provider. `fetch` gets JSON from an address; `now` is a clock that never goes back."""

    def __init__(
        self,
        settings: OidcSettings,
        fetch: Callable[[str], Any] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        if not settings.audience or not settings.algorithms or not ALGORITHMS.issuperset(settings.algorithms):
            raise SettingsError(
                "tokens of an identity provider need an audience and asymmetric algorithms",
                where="serving.api.oidc",
                fix=f"set audience, and algorithms from {', '.join(sorted(ALGORITHMS))}",
            )
        self._settings, self._now = settings, now
        self._fetch = fetch or self._get
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched = self._tried = float("-inf")

    def resolve(self, plain: str) -> Principal | None:
        """The principal that a token speaks for, or None for one that is not good in any respect."""
        from joserfc import jwt
        from joserfc.errors import JoseError

        own = self._settings
        try:
            found = jwt.decode(plain, self._key, algorithms=list(own.algorithms))
            jwt.JWTClaimsRegistry(
                leeway=own.skew_s,
                iss={"essential": True, "value": own.issuer},
                aud={"essential": True, "value": own.audience},
                exp={"essential": True},
                sub={"essential": True},
            ).validate(found.claims)
        except (JoseError, ValueError, TypeError, KeyError):
            return None
        return _principal(found.claims, own)

    def _key(self, token: Any) -> Any:
        """The key that a token's header names, of a kind that fits its algorithm. Raises ValueError without one."""
        kid = token.headers().get("kid")
        keys = self._known(kid)
        for key in keys.keys if keys else ():
            if key.kid == kid and kid:
                return key
        raise ValueError("no such key")

    def _known(self, kid: object) -> KeySet | None:
        with self._lock:
            now = self._now()
            known = self._keys is not None and any(key.kid == kid for key in self._keys.keys)
            stale = now - self._fetched > self._settings.keep_s
            if (stale or not known) and now - self._tried > self._settings.refetch_s:
                self._tried = now
                self._refresh(now)
            return self._keys if now - self._fetched < self._settings.outage_s else None

    def _refresh(self, now: float) -> None:
        from joserfc.jwk import KeySet

        try:
            self._keys = KeySet.import_key_set(self._fetch(self._address()))
            self._fetched = now
        except Exception as error:  # noqa: BLE001  whatever a provider answers, known keys stay in use
            log.get("api").warning("keys of the identity provider", error=type(error).__name__)

    def _address(self) -> str:
        if self._settings.jwks_url:
            return self._settings.jwks_url
        found = self._fetch(f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self._settings.issuer:
            raise ValueError("the provider is another")
        return str(found["jwks_uri"])

    def _get(self, url: str) -> Any:
        import json

        import httpx2

        with httpx2.Client(timeout=self._settings.timeout_s, follow_redirects=False) as client:
            answer = client.get(url)
            answer.raise_for_status()
            if len(answer.content) > MOST_BYTES:
                raise ValueError("too many keys")
            return json.loads(answer.content)


class Either:
    """Keys of the install's own store, and tokens of the provider, told apart by their shape."""

    def __init__(self, own: Callable[[str], Principal | None], provider: Provider) -> None:
        self._own, self._provider = own, provider

    def resolve(self, plain: str) -> Principal | None:
        """The principal of either kind of token."""
        return self._provider.resolve(plain) if plain.count(".") == 2 else self._own(plain)


def _principal(claims: dict[str, Any], settings: OidcSettings) -> Principal | None:
    role: Any = claims.get(settings.role_claim)
    tenant = claims.get(settings.tenant_claim)
    if role not in get_args(Role) or not isinstance(tenant, str | None) or tenant == "":
        return None
    # all tenants is what an operator's token means, so no token becomes one by having too much in it
    if (tenant is None) != (role == "operator"):
        return None
    subject = f"{claims['iss']}\n{claims['sub']}"
    return Principal(f"oidc-{hashlib.sha256(subject.encode()).hexdigest()[:16]}", role, tenant)
