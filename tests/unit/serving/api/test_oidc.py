from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from caudal.errors import SettingsError
from caudal.tokens import Principal
from serving.api.oidc import Either, OidcSettings, Provider

ISSUER = "https://login.example"
KEY = ECKey.generate_key("P-256", parameters={"kid": "one", "use": "sig"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "two", "use": "sig"})
SETTINGS = OidcSettings(issuer=ISSUER, audience="caudal", jwks_url="https://login.example/keys")


class Login:
    """An identity provider whose keys can change and which can be away."""

    def __init__(self, *keys: Any) -> None:
        self.keys, self.asked, self.away = list(keys), 0, False

    def __call__(self, url: str) -> Any:
        self.asked += 1
        if self.away:
            raise OSError
        if url.endswith("openid-configuration"):
            return {"issuer": ISSUER, "jwks_uri": SETTINGS.jwks_url}
        return KeySet(self.keys).as_dict(private=False)


def signed(key: Any = KEY, alg: str = "ES256", header: Mapping[str, Any] | None = None, **claims: Any) -> str:
    now = int(time.time())
    whole = {
        "iss": ISSUER, "aud": "caudal", "sub": "ana", "exp": now + 300, "iat": now, "caudal_role": "reader",
        "tenant": "acme", **claims,
    }  # fmt: skip
    kept = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": key.kid, **(header or {})}, kept, key, algorithms=[alg])


def by_public_key(body: str) -> str:
    """A token signed with the provider's public key as the secret, as anybody could."""
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one"}').decode().rstrip("=")
    mark = hmac.digest(KEY.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


def provider(login: Login, now: Callable[[], float] = lambda: 0.0, **settings: Any) -> Provider:
    return Provider(SETTINGS.model_copy(update=settings), login, now)


def test_a_good_token_speaks_for_its_tenant() -> None:
    """Role and tenant come from the claims; the same person is the same principal; an operator has no tenant."""
    judge = provider(Login(KEY))
    found = judge.resolve(signed())
    assert found is not None
    assert (found.role, found.tenant) == ("reader", "acme")
    assert judge.resolve(signed(iat=1)) == found
    everyone = judge.resolve(signed(caudal_role="operator", tenant=None))
    assert everyone is not None
    assert everyone.tenant is None
    assert judge.resolve(signed(aud=["other", "caudal"])) == found
    assert judge.resolve(signed(exp=int(time.time()) - 30)) == found


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"sub": None},
        {"tenant": None},
        {"tenant": ""},
        {"tenant": ["acme"]},
        {"caudal_role": "operator"},
        {"caudal_role": "root"},
        {"caudal_role": ["reader"]},
        {"caudal_role": None},
    ],
)
def test_claims_that_do_not_fit(claims: dict[str, Any]) -> None:
    """Expired, early, for another audience, of another issuer, without tenant or role: none is a principal."""
    assert provider(Login(KEY)).resolve(signed(**claims)) is None


def test_signatures_that_are_not_the_providers() -> None:
    """Another key under a known name, no signature, a public key as a secret, and words that are no token."""
    judge = provider(Login(KEY))
    same_name = ECKey.generate_key("P-256", parameters={"kid": "one"})
    rsa = RSAKey.generate_key(2048, parameters={"kid": "one"})
    head, body, mark = signed().split(".")
    for token in (
        signed(same_name), signed(rsa, "RS256"), signed(OTHER), signed(header={"kid": ""}), by_public_key(body),
        f"{head}.{body}.", f"{head}.{body}.{mark[:-4]}AAAA", f"{head}..{mark}", "eyJhbGciOiJub25lIn0.e30.",
        "..", "a.b.c",
    ):  # fmt: skip
        assert judge.resolve(token) is None


def test_keys_are_kept_and_rotate() -> None:
    """Keys are fetched once; a new name is looked for, but not by every token; a provider that is away harms nobody."""
    now, login = [0.0], Login(KEY)
    judge = provider(login, lambda: now[0], refetch_s=10, keep_s=300, outage_s=1000)
    assert [judge.resolve(signed()) is not None for _ in range(3)] == [True] * 3
    assert login.asked == 1
    assert [judge.resolve(signed(OTHER)) for _ in range(5)] == [None] * 5
    assert login.asked == 1
    login.keys, now[0] = [OTHER], 11.0
    assert judge.resolve(signed(OTHER)) is not None
    assert judge.resolve(signed()) is None
    login.away, now[0] = True, 900.0
    assert judge.resolve(signed(OTHER)) is not None
    now[0] = 1100.0
    assert judge.resolve(signed(OTHER)) is None


def test_the_providers_description_leads_to_its_keys() -> None:
    """Without an address of its own, the issuer's description says where the keys are."""
    login = Login(KEY)
    assert provider(login, jwks_url="").resolve(signed()) is not None
    assert login.asked == 2


def test_own_keys_go_on_working() -> None:
    """A key of the install is looked up in its store, whatever the provider says."""
    own = Principal("1", "reader", "shop")
    both = Either({"cdl_x": own}.get, provider(Login(KEY)))
    assert both.resolve("cdl_x") == own
    assert both.resolve("cdl_y") is None
    assert both.resolve(signed()) is not None


@pytest.mark.parametrize("wrong", [{"audience": ""}, {"algorithms": ("HS256",)}, {"algorithms": ("none",)}])
def test_unsafe_settings_are_refused(wrong: dict[str, Any]) -> None:
    """No audience, or an algorithm whose key could be public, never starts."""
    with pytest.raises(SettingsError):
        provider(Login(KEY), **wrong)
